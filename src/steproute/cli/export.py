"""`steproute export`: the tables of a run or of a gateway for pandas, Polars, DuckDB, R or a spreadsheet."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.cli.gateway_store import Database, First, Last, Route, Tenant, selected
from steproute.cli.options import Config
from steproute.cli.terminal import Terminal
from steproute.core.errors import ConfigError
from steproute.evaluation.export import Format, export_tables, table_paths
from steproute.evaluation.run import Run

_GATEWAY: Final = Path("gateway-export")


def export(
    to: Annotated[Format, typer.Option(help="Format. Parquet needs pip install 'steproute[data]'.")],
    run: Annotated[Path | None, typer.Argument(help="The folder of a run, such as runs/first.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files. Default: tables in the run's, or gateway-export.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files.")] = False,
    config: Config = None,
    database: Database = None,
    tenant: Tenant = None,
    route: Route = None,
    first: First = None,
    last: Last = None,
) -> None:
    """Write the tables problems, steps and calls of a run, which any data tool can load. Dollars are exact decimals.

    Each problem counts once per route and seed, with its newest solution. Without a run, it exports a gateway:
    the database of --database or --config, all of it or what --tenant, --route, --first and --last choose. The
    folder is then that of a run, with its traces, and the table ledger has one row per billed call.

    Example: steproute export runs/first --to parquet
    """
    of_gateway = {"config": config, "database": database, "tenant": tenant, "route": route, "first": first}
    given = [name for name, value in {**of_gateway, "last": last}.items() if value is not None]
    if run is not None and given:
        raise ConfigError("is for a gateway, not for a run.", where=given[0], remedy="Give a run, or a gateway.")
    if run is not None:
        return _export_run(run, out, to, force)
    if config is None and database is None:
        raise ConfigError("is missing.", where="run", remedy="Give the folder of a run, or a gateway's --database.")
    from steproute.cli.export_gateway import export_gateway

    chosen = selected(tenant, route, first, last)
    paths, exported = export_gateway(config, database, chosen, to, out or _GATEWAY, force=force)
    for path in paths:
        typer.echo(path)
    folded = f", and ${exported.folded_usd:f} of days without lines" if exported.folded_usd else ""
    lines = f"{exported.traces} traces, {exported.lines} lines of ${exported.lines_usd:f}{folded}"
    typer.echo(f"{lines}, which is what steproute savings says was spent", err=True)


def _export_run(run: Path, out: Path | None, to: Format, force: bool) -> None:
    loaded, paths = Run.load(run), table_paths(out or run / "tables", to, force=force)
    columns = TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Terminal(stderr=True)) as progress:
        export_tables(progress.track(loaded.traces, total=len(loaded.traces)), paths, to)
    for path in paths:
        typer.echo(path)
