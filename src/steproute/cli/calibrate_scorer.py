"""`steproute calibrate-scorer`: make a scorer's scores probabilities, and say how good the scorer is."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich.table import Table

from steproute.artifacts import write_artifact
from steproute.bench.auc import can_choose
from steproute.bench.calibrate import halves
from steproute.bench.candidates import candidates_in_tree, sample_candidates
from steproute.bench.datasets import load_problems
from steproute.bench.lab_figures import steps_on_correct_prefixes
from steproute.bench.labelled import LabelledSteps, read_labelled_steps
from steproute.bench.reliability import plot_reliability, reliability
from steproute.bench.scorer_figures import ScorerFigures, scorer_figures
from steproute.cli.terminal import Terminal
from steproute.config import lab_cast
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.engine.step_tree import StepTree
from steproute.lab.check import check_model
from steproute.learn.score_fit import fit_isotonic, fit_temperature
from steproute.scorers.calibrated import ScoreMap, Temperature
from steproute.scorers.calibration_file import score_map_artifact

_METHODS: Final = ("temperature", "isotonic")
_CAPTION: Final = (
    "ECE: mean difference between scores and the share of correct steps. Brier: mean squared error. step AUC: chance "
    "that a correct step scores above an incorrect one. within-prefix AUC: the same, for two candidates of one step."
)
_IDENTITY: Final = Temperature(1.0, 0.0)


def calibrate_scorer(
    data: Annotated[
        str,
        typer.Option(
            help="Lab problems, whose steps the checker labels, or a .jsonl of labelled steps: "
            "{group, prefix, score, right} or {problem, steps, label, scores} per row."
        ),
    ] = "lab:validation",
    problems: Annotated[int, typer.Option(help="How many lab problems.")] = 2000,
    method: Annotated[str, typer.Option(help="temperature or isotonic.")] = "isotonic",
    tree: Annotated[
        Path | None,
        typer.Option(help="Take the candidates from this step tree of `train` or `compare`; it grew from --data."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the problems and the sampled solutions.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")] = Path("runs/calibrated-prm"),
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit a map from scores to probabilities on half of the problems, and measure the scorer on the other half.

    Reports the calibration error, the step AUC and the within-prefix AUC, and writes the map for `--scorer` of `eval`
    with reliability.png. If the map makes the scores worse on the other half, the scores are left as they are.

    Example: steproute calibrate-scorer --problems 300 --method isotonic
    """
    if method not in _METHODS:
        raise ConfigError(f"method: {method!r} is unknown. Use temperature or isotonic.")
    steps, candidates = _from_lab(data, problems, seed, tree) if data.startswith("lab") else _from_file(data, tree)
    fitting, measuring = halves(steps.groups.tolist())
    fitted = _fit(method, steps.at(fitting))
    held_out, choices = steps.at(measuring), candidates.at(halves(candidates.groups.tolist())[1])
    before = scorer_figures(held_out, choices, seed)
    after = scorer_figures(held_out, choices, seed, fitted)
    kept = "none" if after.worse_than(before) else method
    facts: dict[str, Any] = {
        "data": data,
        "seed": seed,
        "fitted_on": len(fitting),
        "measured_on": len(measuring),
        "candidates": len(choices.scores),
        "map": kept,
        "before": msgspec.to_builtins(before),
        "after": msgspec.to_builtins(after),
    }
    write_artifact(score_map_artifact(_IDENTITY if kept == "none" else fitted, facts), out)
    bins = {
        "as it comes": reliability(held_out.scores, held_out.correct),
        f"after {method}": reliability(fitted(held_out.scores), held_out.correct),
    }
    plot_reliability(bins, out / "reliability.png", f"{data}: {len(measuring)} labelled steps")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode({**facts, "bins": bins}), indent=2).decode())
        return
    _show({"before": before, f"after {method}": after}, len(measuring), kept, out)


def _fit(method: str, steps: LabelledSteps) -> ScoreMap:
    fit = fit_isotonic if method == "isotonic" else fit_temperature
    try:
        return fit(steps.scores, steps.correct.astype(np.float64))
    except ImportError as missing:
        raise ConfigError(f"calibrate-scorer needs {missing.name}. Run: pip install 'steproute[learn]'.") from None


def _show(figures: dict[str, ScorerFigures], measured: int, kept: str, out: Path) -> None:
    title = f"{measured} steps that the fit has not seen"
    table = Table("", "ECE", "Brier", "step AUC", "within-prefix AUC [95 %]", title=title, caption=_CAPTION)
    for name, row in figures.items():
        table.add_row(name, f"{row.ece:.4f}", f"{row.brier:.4f}", f"{row.auc:.4f}", _within(row))
    console = Terminal(highlight=False, soft_wrap=True)
    console.print(table)
    before = figures["before"].within_prefix_auc
    if before is None:
        console.print("within-prefix AUC: no prefix holds both a correct and an incorrect step")
    else:
        console.print(f"within-prefix AUC {before:.2f}: {can_choose(before)}")
    if kept == "none":
        console.print("[yellow]the map makes these scores worse, so none is written: the scores stay as they are[/]")
    console.print(f"  {out}")


def _within(row: ScorerFigures) -> str:
    if row.within_prefix_auc is None:
        return "–"
    interval = row.within_prefix_auc_ci95
    return f"{row.within_prefix_auc:.4f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def _from_lab(data: str, count: int, seed: int, tree: Path | None) -> tuple[LabelledSteps, LabelledSteps]:
    """The weak model's steps up to the first incorrect one of each solution, and candidates of one step."""
    cast, problems = lab_cast(), load_problems(data, count, seed)
    scorer = cast.judge().scorer
    checked = asyncio.run(check_model(cast.writer("weak").model, problems, seed, scorer))
    steps = steps_on_correct_prefixes(checked)
    if tree is not None:
        return steps, _from_tree(tree, problems, seed)
    authors = {role: cast.writer(role) for role in ("weak", "strong")}
    return steps, asyncio.run(sample_candidates(authors, scorer, problems, seed))


def _from_tree(path: Path, problems: list[Problem], seed: int) -> LabelledSteps:
    with StepTree(path, None) as tree:
        return asyncio.run(candidates_in_tree(tree, lab_cast(), problems, seed))


def _from_file(data: str, tree: Path | None) -> tuple[LabelledSteps, LabelledSteps]:
    if tree is not None:
        raise ConfigError(f"tree: {tree} has no labels for {data}. Give lab problems, or leave it out.")
    steps = read_labelled_steps(Path(data))
    return steps, steps
