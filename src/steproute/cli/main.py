"""`steproute`: the command line."""

import sys
from typing import Annotated

import typer
from rich.markup import escape

from steproute.cli import (
    calibrate,
    calibrate_scorer,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    export,
    init,
    lab,
    metrics,
    plan,
    replay,
    solve,
    train,
)
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal
from steproute.core.errors import (
    ArtifactError,
    ConfigError,
    DatasetError,
    SpendingLimitReached,
    SteprouteError,
    StorageError,
)

app = typer.Typer(
    name="steproute",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Step-level hybrid inference: a cheap model writes each step, a process reward model scores it, "
    "an expensive model repairs the few that fail.",
)
app.command("solve", cls=PlainCommand)(solve.solve)
app.command("eval", cls=PlainCommand)(evaluate.evaluate)
app.command("demo", cls=PlainCommand)(demo.demo)
app.command("init", cls=PlainCommand)(init.init)
app.command("doctor", cls=PlainCommand)(doctor.doctor)
app.command("metrics", cls=PlainCommand)(metrics.metrics)
app.command("replay", cls=PlainCommand)(replay.replay)
app.command("plan", cls=PlainCommand)(plan.plan)
app.command("train", cls=PlainCommand)(train.train)
app.command("calibrate", cls=PlainCommand)(calibrate.calibrate)
app.command("calibrate-scorer", cls=PlainCommand)(calibrate_scorer.calibrate_scorer)
app.command("compare", cls=PlainCommand)(compare.compare_policies)
app.command("export", cls=PlainCommand)(export.export)
app.add_typer(data.app, name="data")
app.add_typer(lab.app, name="lab")


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
        _fail(f"{reached} What is finished is kept; the same command with a higher --max-usd goes on from there.", 3)
    except SteprouteError as failure:
        _fail(str(failure), 1)
    except OSError as failure:
        if failure.filename is None:
            raise
        _fail(str(StorageError.of(failure.filename, failure)), 1)


def _fail(message: str, code: int) -> None:
    Terminal(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/] {escape(message)}", markup=True)
    sys.exit(code)
