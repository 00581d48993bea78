"""List and download benchmarks."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from steproute.cli.options import Json
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal
from steproute.core.errors import ConfigError
from steproute.evaluation.datasets import BENCHMARKS, data_folder
from steproute.evaluation.datasets.folder import find_data
from steproute.evaluation.datasets.sources import SOURCES

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command(cls=PlainCommand)
def get(
    names: Annotated[list[str], typer.Argument(help=f"Some of {', '.join(SOURCES)}, or all.")],
    kept: Annotated[
        Path | None,
        typer.Option("--from", help="Read the original from this file or folder instead of downloading it."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Data folder. Default: STEPROUTE_DATA, or ~/.cache/steproute/data.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are already there.")] = False,
) -> None:
    """Download benchmarks from their original sources and check them, so that --data finds them by name.

    Example: steproute data get gsm8k math500
    """
    from steproute.evaluation.datasets.download import get_data  # loads the client of servers, which others do without

    console = Terminal(stderr=True)
    for name in _checked(names):
        target = (folder or data_folder()) / BENCHMARKS[name]
        if target.exists() and not force:
            console.print(f"{name}: {target} is there already; --force replaces it", highlight=False, soft_wrap=True)
            continue
        with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as progress:
            bar = progress.add_task(escape(name), total=None)
            count = get_data(
                name,
                SOURCES[name],
                target,
                kept=kept,
                progress=lambda done, total, bar=bar: progress.update(bar, completed=done, total=total),  # type: ignore[misc]
            )
        console.print(f"{name}: {count} problems, {_verified(name)}", highlight=False, soft_wrap=True)
        typer.echo(target)


@app.command("list", cls=PlainCommand)
def list_data(json: Json = False) -> None:
    """List the benchmarks with their sources and licences, and which of them are on this machine.

    Example: steproute data list
    """
    rows = [_row(name) for name in BENCHMARKS]
    if json:
        typer.echo(jsonlib.dumps(rows, indent=2))
        return
    table = Table("name", "problems", "here", "licence", caption=_CAPTION)
    for row in rows:
        cells = (row["name"], row["problems"] or "", "yes" if row["path"] else "", row["licence"])
        table.add_row(*(escape(str(cell)) for cell in cells))
    Terminal().print(table)


_CAPTION = "problems: of the original. here: on this machine. Addresses: --json."


def _checked(names: list[str]) -> list[str]:
    if names == ["all"]:
        return list(SOURCES)
    for name in names:
        if name not in SOURCES:
            raise ConfigError(
                f"no source of {name!r} is known.", where="data", remedy=f"Use some of {', '.join(SOURCES)}."
            )
    return names


def _row(name: str) -> dict[str, str | int | None]:
    source, path = SOURCES.get(name), find_data(BENCHMARKS[name])
    return {
        "name": name,
        "problems": source.rows if source else None,
        "path": str(path) if path else None,
        "licence": source.licence if source else "",
        "source": source.url if source else "",
    }


def _verified(name: str) -> str:
    if SOURCES[name].sha256:
        return "checked by SHA-256"
    return "checked by the number of rows and the first and last id (no checksum of the original is known)"
