"""`steproute calibrate-scorer`: make a scorer's scores probabilities, and show how far they were from it."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.table import Table

from steproute.bench.bootstrap import roc_auc
from steproute.bench.calibrate import halves
from steproute.bench.datasets import load_problems, read_rows
from steproute.bench.reliability import brier_score, expected_calibration_error, plot_reliability, reliability
from steproute.cli.terminal import Terminal
from steproute.config import lab_cast, score_map_artifact
from steproute.core.errors import ConfigError, DatasetError
from steproute.lab.check import check_model
from steproute.lab.checker import Verdict
from steproute.learn.score_fit import fit_isotonic, fit_temperature
from steproute.policies.artifact import write_artifact
from steproute.scorers.calibrated import F64, ScoreMap

_METHODS = ("temperature", "isotonic")


def calibrate_scorer(
    data: Annotated[
        str,
        typer.Option(help="Lab problems, whose steps the checker labels, or a .jsonl of {group, score, right} rows."),
    ] = "lab:validation",
    problems: Annotated[int, typer.Option(help="How many lab problems.")] = 2000,
    method: Annotated[str, typer.Option(help="temperature or isotonic.")] = "isotonic",
    seed: Annotated[int, typer.Option(help="Decides the problems and the sampled solutions.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")] = Path("runs/calibrated-prm"),
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit a map from scores to probabilities on the labelled steps of half of the problems, measure it on the others.

    Writes the map, for `--scorer` of `eval`, and reliability.png.

    Example: steproute calibrate-scorer --problems 300 --method isotonic
    """
    if method not in _METHODS:
        raise ConfigError(f"method: {method!r} is unknown. Use temperature or isotonic.")
    groups, scores, labels = _from_lab(data, problems, seed) if data.startswith("lab") else _from_file(Path(data))
    fitting, measuring = halves(groups)
    try:
        fitted: ScoreMap = (fit_isotonic if method == "isotonic" else fit_temperature)(scores[fitting], labels[fitting])
    except ImportError as missing:
        raise ConfigError(f"calibrate-scorer needs {missing.name}. Run: pip install 'steproute[learn]'.") from None
    raw, right = scores[measuring], labels[measuring]
    mapped = fitted(raw)
    figures = {"before": _figures(raw, right), "after": _figures(mapped, right)}
    facts: dict[str, Any] = {"data": data, "seed": seed, "fitted_on": len(fitting), "measured_on": len(measuring)}
    write_artifact(score_map_artifact(fitted, {**facts, **figures}), out)
    bins = {"as it comes": reliability(raw, right), f"after {method}": reliability(mapped, right)}
    plot_reliability(bins, out / "reliability.png", f"{data}: {len(measuring)} labelled steps")
    if json:
        document = {**facts, **figures, "bins": bins}
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    table = Table("", "ECE", "Brier", "ROC-AUC", title=f"{len(measuring)} steps that the fit has not seen")
    for name, row in figures.items():
        table.add_row(name, f"{row['ece']:.4f}", f"{row['brier']:.4f}", f"{row['auc']:.4f}")
    console = Terminal()
    console.print(table)
    console.print(f"  {out}", highlight=False, soft_wrap=True)


def _figures(scores: F64, labels: F64) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(scores, labels),
        "brier": brier_score(scores, labels),
        "auc": roc_auc(scores, labels.astype(bool)),
    }


def _from_lab(data: str, count: int, seed: int) -> tuple[list[str], F64, F64]:
    """Group, score and label of each step that weak sampled; a step is right where all steps up to it are."""
    cast = lab_cast()
    checked = asyncio.run(
        check_model(cast.writer("weak").model, load_problems(data, count, seed), seed, cast.judge().scorer)
    )
    rows = [
        (item.problem_id, score, verdict is Verdict.RIGHT)
        for item in checked
        for score, verdict in zip(item.scores or (), item.verdicts, strict=True)
    ]
    return [row[0] for row in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows], float)


def _from_file(path: Path) -> tuple[list[str], F64, F64]:
    groups, scores, labels = [], [], []
    for number, row in read_rows(path):
        score, right = row.get("score"), row.get("right")
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise DatasetError(f"{path}, line {number}: score is {score!r}. Give a number from 0 to 1.")
        if not isinstance(right, bool):
            raise DatasetError(f"{path}, line {number}: right is {right!r}. Give true or false.")
        groups.append(str(row.get("group", number)))
        scores.append(float(score))
        labels.append(float(right))
    return groups, np.array(scores), np.array(labels)
