"""`steproute train`: make a policy from data, as an artefact that `eval` and `solve` take by its folder."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from steproute.bench.datasets import load_problems
from steproute.config import lab_cast
from steproute.core.errors import ConfigError
from steproute.learn.lab_fit import costs_for, fit_on_lab
from steproute.learn.plan import plan
from steproute.policies.artifact import write_artifact
from steproute.policies.pomdp import PomdpFamily
from steproute.policies.stored import POMDP, pomdp_artifact


def train(
    policy: Annotated[str, typer.Option(help="pomdp.")] = POMDP,
    data: Annotated[str, typer.Option(help="Lab problems to train on.")] = "lab:train",
    problems: Annotated[int, typer.Option(help="How many of them.")] = 2000,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")] = Path("runs/pomdp"),
) -> None:
    """Fit TRIM-POMDP to the lab's models and plan for sixteen costs at once.

    Example: steproute train --policy pomdp --problems 2000 --out runs/pomdp
    """
    if policy != POMDP:
        raise ConfigError(f"policy: {policy!r} has nothing to train. Use {POMDP}.")
    if not data.startswith("lab"):
        raise ConfigError(f"data: {data!r} has no step labels to fit on. Use lab:train.")
    console = Console()
    began = time.monotonic()
    with console.status(f"solving {problems} problems of {data}"):
        model = asyncio.run(fit_on_lab(lab_cast(), load_problems(data, problems, seed), seed))
    fitted = time.monotonic()
    made = plan(model, costs_for(model))
    facts = {"data": data, "problems": problems, "seed": seed}
    write_artifact(pomdp_artifact(PomdpFamily(made), facts), out)
    console.print(
        f"p_w {model.weak_accuracy:.4f}  p_s {model.strong_accuracy:.4f}  {model.step_tokens:.1f} tokens a step  "
        f"gap {made.gap:.2g} of {model.task_reward:g}  "
        f"fit {fitted - began:.0f} s  plan {time.monotonic() - fitted:.1f} s"
    )
    console.print(f"  {out}", highlight=False)
