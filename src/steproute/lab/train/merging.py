"""Train a lab language model to write one step with several plans for it in view."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from steproute.core.concurrency import map_concurrently
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.story import Story, generate
from steproute.lab.tokenizer import Tokenizer
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import next_token_loss, trained
from steproute.lab.train.pools import POOL
from steproute.lab.train.rows import Row, batch_of, row_of
from steproute.lab.train.transformer import Transformer

_SEED: Final = 80
_DRAFTS: Final = 4
_WARMER: Final = 0.3
_CHUNK: Final = 256
_IN_FLIGHT: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRecipe:
    """Everything that decides an aggregator's weights. start: the lab model that is trained further. stories: how many
    training stories lab-weak plans for. shown: whether plans are in view; without them it learns the same steps, as a
    control."""

    start: Literal["weak", "strong"]
    stories: int
    schedule: Schedule
    shown: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The distinct drafts of lab-weak for the step of a story after the first `after` correct ones: two or more."""

    story: str
    after: int
    texts: tuple[str, ...]


def write_plans(weak: LabModel, stories: int, path: Path) -> None:
    """Append the plans of stories to `path` (JSON lines) until it is complete; a rerun continues."""
    done = path.read_bytes().count(b"\n") if path.exists() else 0
    chunks = range(done, -(-stories // _CHUNK))
    problems = islice(generate("train", seed=_SEED), done * _CHUNK, stories)
    with path.open("ab") as file:
        for chunk in track(chunks, description="plans"):
            plans = asyncio.run(_plan_all(weak, list(islice(problems, _CHUNK)), chunk * _CHUNK))
            file.write(msgspec.json.encode(plans) + b"\n")
            file.flush()


def read_plans(path: Path) -> list[Plans]:
    """The plans of a file that `write_plans` wrote."""
    lines = path.read_bytes().splitlines()
    return [plans for line in lines for plans in msgspec.json.decode(line, type=list[Plans])]


def train_merging(recipe: MergeRecipe, start: Path, plans: Path, folder: Path, device: str = "cpu") -> Transformer:
    """Train from the model in the .onnx file `start`, or continue from the newest checkpoint in `folder`."""
    torch.manual_seed(recipe.seed)
    model, known, tokenizer = trained(start).to(device), read_plans(plans), Tokenizer()

    def batches(step: int) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng([recipe.seed, step])
        size = recipe.schedule.batch
        while True:
            drawn = [known[each] for each in rng.integers(len(known), size=size * POOL)]
            rows = sorted(
                (merged_row(tokenizer, each, rng, shown=recipe.shown) for each in drawn), key=lambda row: len(row[0])
            )
            for part in rng.permutation(POOL):
                yield batch_of(rows[part * size : (part + 1) * size], tokenizer.pad)

    fit(model, batches, next_token_loss, recipe.schedule, folder)
    return model.cpu()


def merged_row(tokenizer: Tokenizer, plans: Plans, rng: np.random.Generator, *, shown: bool = True) -> Row:
    """A story, its correct steps, the plans in any order as `LabModel` shows them (if `shown`), and the correct step,
    which alone is learnt."""
    steps = Story.parse(plans.story).solution()
    shuffled = [plans.texts[each] for each in rng.permutation(len(plans.texts))]
    read = [plans.story, *steps[: plans.after], *(["", *shuffled, ""] if shown else [])]
    return row_of(tokenizer, read, [steps[plans.after]], last=plans.after == len(steps) - 1)


async def _plan_all(weak: LabModel, problems: Sequence[Problem], start: int) -> list[Plans]:
    async def plan(number: int, problem: Problem) -> list[Plans]:
        return await _plan(weak, problem, np.random.default_rng([_SEED, number]))

    made = await map_concurrently(plan, count(start), problems, in_flight=_IN_FLIGHT)
    return [each for found in made for each in found]


async def _plan(weak: LabModel, problem: Problem, rng: np.random.Generator) -> list[Plans]:
    prefix, found = Prefix(problem=problem, session=problem.id), list[Plans]()
    for after, step in enumerate(Story.parse(problem.text).solution()):
        sampling = replace(LAB_SAMPLING, temperature=LAB_SAMPLING.temperature + _WARMER, seed=int(rng.integers(2**31)))
        texts = tuple(dict.fromkeys(draft.text for draft in await weak.propose(prefix, _DRAFTS, sampling)))
        found += [Plans(story=problem.text, after=after, texts=texts)] if len(texts) > 1 else []
        prefix = prefix.extended(Step(role="given", text=step, tokens=0))
    return found
