"""`steproute calibrate-scorer`: map a scorer's scores to probabilities, and measure the scorer."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich.table import Table

from steproute.artifacts import write_artifact
from steproute.cli.options import Config, InFlight, checked_seed
from steproute.cli.scored_labels import ScoredLabels, holds_labels
from steproute.cli.terminal import Terminal
from steproute.cli.training_tree import tree_path
from steproute.config import Setup, check_needs, read_setup
from steproute.core.errors import ConfigError, DatasetError
from steproute.core.problem import Problem
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.engine.step_tree import StepTree
from steproute.evaluation.auc import can_choose
from steproute.evaluation.calibrate import halves
from steproute.evaluation.candidates import candidates_in_tree, sample_candidates
from steproute.evaluation.datasets import BENCHMARKS, load_problems, read_rows
from steproute.evaluation.lab_figures import steps_on_correct_prefixes
from steproute.evaluation.labelled import LabelledSteps, read_labelled_steps, steps_of
from steproute.evaluation.reliability import plot_reliability, reliability
from steproute.evaluation.scorer_figures import ScorerFigures, scorer_figures
from steproute.lab.measure import check_model
from steproute.lab.story import is_lab
from steproute.lab.trim_world.world import is_trim_world
from steproute.learn.score_fit import fit_isotonic, fit_temperature
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.calibrated import CalibratedScorer, ScoreMap, Temperature
from steproute.scorers.calibration_file import score_map_artifact
from steproute.strategies.stepwise import Stepwise

_METHODS: Final = ("temperature", "isotonic")
_CAPTION: Final = (
    "ECE: mean difference between scores and the share of correct steps. Brier: mean squared error. step AUC: chance "
    "that a correct step scores above an incorrect one. within-prefix AUC: the same, for two candidates of one step."
)
_IDENTITY: Final = Temperature(1.0, 0.0)
_WIDTH: Final = 2**32  # samples per place: every seed its own


def calibrate_scorer(
    data: Annotated[
        str,
        typer.Option(
            help="Lab problems, whose steps the checker labels, or a .jsonl of labelled steps. Its rows are {group, "
            "prefix, score, right} or {problem, steps, label, scores}; with --config scores can be missing."
        ),
    ] = "lab:validation",
    config: Config = None,
    problems: Annotated[int, typer.Option(help="Number of lab problems.")] = 2000,
    method: Annotated[str, typer.Option(help="temperature or isotonic.")] = "isotonic",
    tree: Annotated[
        Path | None,
        typer.Option(
            help="On the lab: take the candidates from this step tree, which `train` or `compare` grew on the same "
            "--data. Otherwise: keep the scores in this step tree, so that a rerun does not pay again."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the problems and of the sampled solutions.", callback=checked_seed)
    ] = 0,
    in_flight: InFlight = 32,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")] = Path("runs/calibrated-prm"),
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit a map from scores to probabilities on half of the problems, and measure the scorer on the other half.

    Reports the calibration error, the step AUC and the within-prefix AUC, and writes the map and reliability.png. Use
    the map with `eval --scorer` on the lab, or as `calibration` below [scorers.prm] in a steproute.toml. If the map
    makes the scores worse on the other half, the scores are left as they are.

    Example: steproute calibrate-scorer --problems 300 --method isotonic
    """
    if method not in _METHODS:
        raise ConfigError(f"{method!r} is unknown.", where="method", remedy="Use temperature or isotonic.")
    setup = read_setup(config)
    _check_uncalibrated(setup)
    if is_lab(data):
        steps, candidates = _from_lab(setup, data, problems, seed, tree)
    else:
        steps, candidates = _from_file(setup, data, tree, in_flight)
    fitting, measuring = halves(steps.groups.tolist())
    fitted = _fit(method, steps.at(fitting))
    held_out, choices = steps.at(measuring), candidates.at(halves(candidates.groups.tolist())[1])
    before = scorer_figures(held_out, choices, seed)
    after = scorer_figures(held_out, choices, seed, fitted)
    kept = "none" if after.worse_than(before) else method
    facts: dict[str, Any] = {
        "data": data,
        "seed": seed,
        "config_digest": setup.digest,
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


def _check_uncalibrated(setup: Setup) -> None:
    """Raises ConfigError if the scores are mapped already, because the file has room for one map only."""
    judge = setup.roles.scorers.get("prm")
    if judge is not None and isinstance(judge.scorer, CalibratedScorer):
        raise ConfigError(
            "is set.", where="scorers.prm.calibration", remedy="Remove it while the scorer is calibrated again."
        )


def _fit(method: str, steps: LabelledSteps) -> ScoreMap:
    fit = fit_isotonic if method == "isotonic" else fit_temperature
    try:
        return fit(steps.scores, steps.correct.astype(np.float64))
    except ImportError as missing:
        raise ConfigError(
            f"calibrate-scorer needs {missing.name}.", remedy="Run: pip install 'steproute[learn]'."
        ) from None


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


def _from_lab(setup: Setup, data: str, count: int, seed: int, tree: Path | None) -> tuple[LabelledSteps, LabelledSteps]:
    """The weak model's steps up to the first incorrect one of each solution, and candidates of one step."""
    problems = load_problems(data, count, seed)
    if setup.digest:
        check_needs([Route(name="calibrate-scorer", strategy=Stepwise(policy=Threshold(0.5)))], setup.roles)
        with StepTree(Path("runs") / f"candidates-{setup.digest[:8]}.jsonl.zst", _WIDTH) as cache:
            return _on_lab(cache.roles(setup.roles), problems, seed, tree)
    return _on_lab(setup.roles, problems, seed, tree)


def _on_lab(roles: Roles, problems: list[Problem], seed: int, tree: Path | None) -> tuple[LabelledSteps, LabelledSteps]:
    scorer = roles.scorer().scorer
    checked = asyncio.run(check_model(roles.model("weak").model, problems, seed, scorer))
    steps = steps_on_correct_prefixes(checked)
    if tree is not None:
        with StepTree(tree, None) as grown:
            return steps, asyncio.run(candidates_in_tree(grown, roles, problems, seed))
    authors = {role: roles.model(role) for role in ("weak", "strong")}
    return steps, asyncio.run(sample_candidates(authors, scorer, problems, seed))


def _from_file(setup: Setup, data: str, tree: Path | None, in_flight: int) -> tuple[LabelledSteps, LabelledSteps]:
    """Labelled steps of a file; solutions without scores are scored by the scorer of the steproute.toml."""
    if tree is not None and not setup.digest:
        raise ConfigError(
            f"{tree} has no labels for {data}.", where="tree", remedy="Give lab problems, or leave it out."
        )
    _check_labelled(data)
    if holds_labels(data):
        path = tree_path(tree, setup)
        steps = steps_of(ScoredLabels(setup=setup, path=path, in_flight=in_flight).read(Path(data)))
    else:
        steps = read_labelled_steps(Path(data))
    return steps, steps


def _check_labelled(data: str) -> None:
    """Raises DatasetError for problems that have only gold answers, which do not say which steps are correct."""
    path = Path(data)
    problems = data in BENCHMARKS or is_trim_world(data)
    if not problems and path.is_file():
        _, first = next(read_rows(path), (0, {"score": None}))
        problems = not {"steps", "score", "right"} & first.keys()
    if problems:
        raise DatasetError(
            f"{data} holds problems, and a scorer is calibrated on steps that are known to be correct or not.",
            where="data",
            remedy="Give solutions in ProcessBench's format, {problem, steps, label} per line with the "
            "index of the first incorrect step or -1, or lab:validation.",
        )
