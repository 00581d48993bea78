"""`steproute`: the command line."""

import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from steproute.cli.lazy_group import LazyGroup
from steproute.core.errors import (
    ArtifactError,
    ConfigError,
    DatasetError,
    SpendingLimitReached,
    SteprouteError,
    StorageError,
)


class Commands(LazyGroup):
    """All commands, in the order in which help lists them."""

    places: ClassVar[Mapping[str, str]] = {
        "solve": "steproute.cli.solve:solve",
        "eval": "steproute.cli.evaluate:evaluate",
        "demo": "steproute.cli.demo:demo",
        "serve": "steproute.cli.serve:serve",
        "tenants": "steproute.cli.tenants:app",
        "keys": "steproute.cli.keys:app",
        "savings": "steproute.cli.savings:savings",
        "init": "steproute.cli.init:init",
        "doctor": "steproute.cli.doctor:doctor",
        "metrics": "steproute.cli.metrics:metrics",
        "replay": "steproute.cli.replay:replay",
        "explain": "steproute.cli.explain:explain",
        "plan": "steproute.cli.plan:plan",
        "train": "steproute.cli.train:train",
        "calibrate": "steproute.cli.calibrate:calibrate",
        "calibrate-scorer": "steproute.cli.calibrate_scorer:calibrate_scorer",
        "compare": "steproute.cli.compare:compare_policies",
        "bench": "steproute.cli.bench:app",
        "export": "steproute.cli.export:export",
        "data": "steproute.cli.data:app",
        "lab": "steproute.cli.lab:app",
    }


app = typer.Typer(
    name="steproute",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Step-level hybrid inference: a cheap model writes each step, a process reward model scores it, "
    "an expensive model repairs the few that fail.",
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options of every command."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("steproute"))
        raise typer.Exit


def main() -> None:
    """Run the command.

    Exit code 2 for bad input, 3 for a spending limit that is reached, 1 for other failures, 128 + n for signal n (130
    for Ctrl-C).
    """
    try:
        app()
    except (ConfigError, DatasetError, ArtifactError) as failure:
        _fail(str(failure), 2)
    except SpendingLimitReached as reached:
        _fail(f"{reached} What is finished is kept; the same command with a higher --max-usd continues from there.", 3)
    except SteprouteError as failure:
        _fail(str(failure), 1)
    except OSError as failure:
        if failure.filename is None:
            raise
        _fail(str(StorageError.of(failure.filename, failure)), 1)


def _fail(message: str, code: int) -> None:
    from rich.markup import escape

    from steproute.cli.terminal import Terminal  # rich's console takes a while to load

    Terminal(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/] {escape(message)}", markup=True)
    sys.exit(code)
