"""The bundled lab: problems and models."""

import asyncio
import json as jsonlib
from itertools import islice
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.table import Table

from steproute.cli.options import checked_seed
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal
from steproute.config import lab_roles
from steproute.core.bounds import MOST_PROBLEMS, check_between
from steproute.core.errors import ConfigError
from steproute.evaluation.auc import can_choose
from steproute.evaluation.lab_figures import lab_figures
from steproute.lab.hugging_face import export_for_servers
from steproute.lab.models import LAB_SAMPLING, Servable
from steproute.lab.story import Split, Story, generate

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command(cls=PlainCommand)
def check(
    problems: Annotated[int, typer.Option(help="Test problems to sample.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.", callback=checked_seed)] = 0,
    difficulty: Annotated[str, typer.Option(help="easy, standard or hard.")] = "standard",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the lab at temperature 0.7: the models' accuracies, and how well both PRMs score and choose steps.

    The within-prefix AUC is the chance that a correct candidate for a step scores above an incorrect one for the same
    step. A low value means that the scorer knows where steps fail, but not which of several candidates is correct.

    Example: steproute lab check --problems 1000 --json
    """
    check_between("problems", problems, 1, MOST_PROBLEMS, "Give the number of test problems to sample.")
    chosen = list(islice(generate("test", seed, difficulty), problems))
    facts = {"problems": problems, "seed": seed, "difficulty": difficulty, "temperature": LAB_SAMPLING.temperature}
    figures = facts | asyncio.run(lab_figures(lab_roles(), chosen, seed))
    if json:
        typer.echo(jsonlib.dumps(figures, indent=2))
        return
    table = Table(title=f"lab models on {problems} {difficulty} test problems, temperature 0.7, seed {seed}")
    for column in ("figure", "value", "95 % interval"):
        table.add_column(column)
    for name, value in figures.items():
        interval = figures.get(f"{name}_ci95")
        if not name.endswith("_ci95") and isinstance(value, float):
            between = f"{interval[0]:.4f} – {interval[1]:.4f}" if isinstance(interval, tuple) else ""
            table.add_row(name, f"{value:.4f}", between)
    console = Terminal()
    console.print(table)
    for name in ("prm", "prm_place"):
        if isinstance(auc := figures.get(f"{name}_within_prefix_auc"), float):
            console.print(f"{name}: within-prefix AUC {auc:.2f}: {can_choose(auc)}", highlight=False)


@app.command(cls=PlainCommand)
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; each model gets a folder in it.")],
) -> None:
    """Write the lab's language models and its older PRM as Hugging Face folders that vLLM and others can serve.

    The newer PRM, lab-verifier, runs in this process only. `eval --scorer prm-place` uses the older one on the lab.

    Example: steproute lab export runs/models
    """
    for name in get_args(Servable):
        export_for_servers(name, folder / name)
        typer.echo(folder / name)


@app.command(cls=PlainCommand)
def sample(
    count: Annotated[int, typer.Option(help="Number of problems.")] = 1,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Decides the problems.", callback=checked_seed)] = 0,
    difficulty: Annotated[str, typer.Option(help="easy, standard or hard.")] = "standard",
) -> None:
    """Print lab problems with their reference solutions.

    Example: steproute lab sample --count 2 --difficulty hard
    """
    if split not in get_args(Split):
        raise ConfigError(f"{split!r} is unknown.", where="split", remedy=f"Use one of {', '.join(get_args(Split))}.")
    check_between("count", count, 1, MOST_PROBLEMS, "Give the number of problems to print.")
    for problem in islice(generate(split, seed, difficulty), count):  # type: ignore[arg-type]
        typer.echo("\n".join((problem.text, "", *Story.parse(problem.text).solution(), "")))
