"""Rollouts of lab-weak on training problems, each step labelled by the checker."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from rich.progress import track

from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.core.splitting import split_steps
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.network import Network
from steproute.lab.story import Story, generate
from steproute.lab.worker import Worker

_SEED: Final = 77
_CHUNK: Final = 256

Rollout = tuple[str, list[str], list[bool]]


def write_rollouts(weights: Path, count: int, path: Path) -> None:
    """Append rollouts of the model in `weights` to `path` (JSON lines) until it holds `count` of them."""
    done = sum(1 for _ in read_rollouts(path)) if path.exists() else 0
    problems = islice(generate("train", seed=_SEED), done, count)
    model = LabModel("lab-weak", Worker(Network(weights)))
    with path.open("a") as file:
        for _ in track(range(done, count, _CHUNK), description="rollouts"):
            for rollout in asyncio.run(_roll(model, list(islice(problems, _CHUNK)))):
                file.write(json.dumps(rollout) + "\n")


def read_rollouts(path: Path) -> Iterator[Rollout]:
    """(problem text, steps, whether each step and all before it are correct)."""
    with path.open() as file:
        for line in file:
            text, steps, right = json.loads(line)
            yield text, steps, right


async def _roll(model: LabModel, problems: list[Problem]) -> list[Rollout]:
    return await asyncio.gather(*(_one(model, seed, problem) for seed, problem in enumerate(problems)))


async def _one(model: LabModel, seed: int, problem: Problem) -> Rollout:
    prefix = Prefix(problem=problem, session=problem.id)
    (draft,) = await model.propose(prefix, 1, replace(LAB_SAMPLING, stop=None, seed=seed))
    steps = split_steps(draft.text, prefix.separator)
    verdicts = check_steps(Story.parse(problem.text), steps)
    return problem.text, steps, [verdict is StepLabel.CORRECT for verdict in verdicts]
