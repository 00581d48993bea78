"""`steproute metrics`: the metrics of a curve file."""

import json as jsonlib
from math import isnan
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from steproute.cli.terminal import Terminal
from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.formatting import METRICS_EXPLAINED
from steproute.evaluation.metrics import measure
from steproute.evaluation.summary import metric_values


def metrics(
    path: Annotated[Path, typer.Argument(help="A JSON file of points: a summary.json, or published curves.")],
    curve: Annotated[str | None, typer.Option(help="Which curve, if the file holds several.")] = None,
    anchors_from: Annotated[
        str | None, typer.Option(help="The curve of the same file that gives always-weak and always-strong.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute CPT, APGR, ΔIBC and budgeted accuracy of an accuracy–cost curve.

    Example: steproute metrics runs/demo-0/summary.json --json
    """
    measured = measure(read_curve(path, curve, anchors_from=anchors_from))
    values = metric_values({name: value for name, value in measured.items() if not isnan(value)})
    if json:
        typer.echo(jsonlib.dumps(values, indent=2))
        return
    table = Table("metric", "value", title=curve or path.name, caption=METRICS_EXPLAINED)
    for name, value in values.items():
        table.add_row(name, "not reached" if value is None else f"{value:.4f}")
    Terminal().print(table)
