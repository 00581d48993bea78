"""`steproute doctor`: check that every backend behaves as configured."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from steproute.cli.terminal import Terminal, print_json
from steproute.config import read_config

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    config: Annotated[Path, typer.Option(help="The configuration to examine.")] = Path("steproute.toml"),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check that every model and scorer behaves as configured, and suggest a fix for each problem.

    It checks that models are reachable, continue a half-written answer and stop, that scorers give one score per step
    and score correct steps higher, and that prices are set. With a table [serve] it also checks the gateway: its
    database, its routes, and a money limit for each. Exits with code 1 if a check failed.

    Example: steproute doctor --config steproute.toml
    """
    from steproute.doctor import Severity, examine  # loads the client of servers, which other commands do without

    findings = asyncio.run(examine(read_config(config)))
    if json:
        print_json(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        table = Table("backend", "check", "verdict", "seen", "remedy")
        for finding in findings:
            verdict = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            seen, remedy = escape(finding.seen), escape(finding.remedy)
            table.add_row(escape(finding.backend), finding.check, verdict, seen, remedy)
        Terminal().print(table)
    if any(finding.severity is Severity.FAILED for finding in findings):
        raise typer.Exit(1)
