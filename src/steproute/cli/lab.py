"""`steproute lab`: the bundled world, looked at and measured."""

import asyncio
import json as jsonlib
from itertools import islice
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import typer
from rich.table import Table

from steproute.bench.bootstrap import (
    Interval,
    grouped_proportion_interval,
    proportion_interval,
    roc_auc,
    roc_auc_interval,
)
from steproute.cli.terminal import Terminal
from steproute.core.errors import ConfigError
from steproute.lab.check import Checked, check_model
from steproute.lab.hugging_face import export_for_servers
from steproute.lab.models import LabModel, LabName, LabPrm
from steproute.lab.story import Split, Story, generate

app = typer.Typer(no_args_is_help=True, help="The bundled lab: problems and models.")

Figures = dict[str, float | int | str | tuple[float, float]]


@app.command()
def check(
    problems: Annotated[int, typer.Option(help="Test problems to sample.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    difficulty: Annotated[str, typer.Option(help="easy, standard or hard.")] = "standard",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the lab models at temperature 0.7: step and answer accuracies and the PRM's step ROC-AUC.

    Example: steproute lab check --problems 1000 --json
    """
    figures = asyncio.run(_measure(problems, seed, difficulty))
    if json:
        typer.echo(jsonlib.dumps(figures, indent=2))
        return
    table = Table(title=f"lab models on {problems} {difficulty} test problems, temperature 0.7, seed {seed}")
    for column in ("figure", "value", "95 % interval"):
        table.add_column(column)
    for name, value in figures.items():
        interval = figures.get(f"{name}_ci95")
        if isinstance(interval, tuple):
            table.add_row(name, f"{value:.4f}", f"{interval[0]:.4f} – {interval[1]:.4f}")
    Terminal().print(table)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write to, one below it for each model.")],
) -> None:
    """Write the lab's models as Hugging Face folders that vLLM and others can serve.

    Example: steproute lab export runs/models
    """
    for name in get_args(LabName):
        export_for_servers(name, folder / name)
        typer.echo(folder / name)


@app.command()
def sample(
    count: Annotated[int, typer.Option(help="How many problems.")] = 1,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Decides the problems.")] = 0,
    difficulty: Annotated[str, typer.Option(help="easy, standard or hard.")] = "standard",
) -> None:
    """Print lab problems with their reference solutions.

    Example: steproute lab sample --count 2 --difficulty hard
    """
    if split not in get_args(Split):
        raise ConfigError(f"split: {split!r} is unknown. Use one of {', '.join(get_args(Split))}.")
    for problem in islice(generate(split, seed, difficulty), count):  # type: ignore[arg-type]
        typer.echo("\n".join((problem.text, "", *Story.parse(problem.text).solution(), "")))


async def _measure(count: int, seed: int, difficulty: str) -> Figures:
    if count < 1:
        raise ConfigError(f"problems: {count} is below 1. Give the number of test problems to sample.")
    problems = list(islice(generate("test", seed, difficulty), count))
    weak, mid, strong = await asyncio.gather(
        check_model(LabModel("lab-weak"), problems, seed, LabPrm()),
        check_model(LabModel("lab-mid"), problems, seed),
        check_model(LabModel("lab-strong"), problems, seed),
    )
    figures: Figures = {"problems": count, "seed": seed, "difficulty": difficulty, "temperature": 0.7}
    for name, checked in (("weak", weak), ("mid", mid), ("strong", strong)):
        steps = [right for item in checked for right in item.on_right_prefix]
        groups = [item.problem_id for item in checked for _ in item.on_right_prefix]
        interval = grouped_proportion_interval(steps, groups, np.random.default_rng(seed))
        _enter(figures, f"{name}_step_accuracy", sum(steps) / len(steps), interval)
        right = sum(item.answer_right for item in checked)
        _enter(figures, f"{name}_answer_accuracy", right / count, proportion_interval(right, count))
    _enter(figures, "prm_auc", *_auc(weak, seed))
    return figures


def _auc(checked: list[Checked], seed: int) -> tuple[float, Interval]:
    """ROC-AUC of the PRM over weak steps taken on a right prefix: right against first wrong."""
    rows = [
        (score, right, item.problem_id)
        for item in checked
        for score, right in zip(item.scores or (), item.on_right_prefix, strict=False)
    ]
    scores, labels, groups = (list(column) for column in zip(*rows, strict=True))
    return roc_auc(scores, labels), roc_auc_interval(scores, labels, groups, np.random.default_rng(seed))


def _enter(figures: Figures, name: str, value: float, interval: Interval) -> None:
    figures[name] = value
    figures[f"{name}_ci95"] = (interval.low, interval.high)
