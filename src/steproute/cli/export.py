"""`steproute export`: a run's tables for pandas, Polars, DuckDB, R or a spreadsheet."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.cli.terminal import Terminal
from steproute.evaluation.export import Format, export_tables, table_paths
from steproute.evaluation.run import Run


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run, such as runs/first.")],
    to: Annotated[Format, typer.Option(help="Format. Parquet needs pip install 'steproute[data]'.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the three files. Default: tables in the run's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files.")] = False,
) -> None:
    """Write the tables problems, steps and calls of a run, which any data tool can load.

    Each problem counts once per route and seed, with its newest solution. Dollars are exact decimals.

    Example: steproute export runs/first --to parquet
    """
    loaded, paths = Run.load(run), table_paths(out or run / "tables", to, force=force)
    columns = TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Terminal(stderr=True)) as progress:
        export_tables(progress.track(loaded.traces, total=len(loaded.traces)), paths, to)
    for path in paths:
        typer.echo(path)
