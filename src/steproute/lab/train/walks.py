"""Labelled solutions of training problems with labelled candidates along the way: what the verifier learns from."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from rich.progress import track

from steproute.core.concurrency import map_concurrently
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Sampling, Step, Stop
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.story import Story, generate

_SEED: Final = 78
_CHUNK: Final = 256
_IN_FLIGHT: Final = 24
_DRAFTS: Final = 5
_STRONG_SHARES: Final = (0.0, 0.0, 0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A draft of one step, and whether the checker calls it correct."""

    text: str
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Distinct candidates for the step after the first `after` steps of a walk; both kinds are among them."""

    after: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A solution that lab-weak and lab-strong wrote in turns, up to its first incorrect step."""

    problem: str
    steps: tuple[str, ...]
    last_correct: bool
    choices: tuple[Choice, ...]


def write_walks(weak: LabModel, strong: LabModel, count: int, path: Path) -> None:
    """Append walks to `path` (JSON lines) until it holds `count` of them; a rerun continues."""
    done = sum(1 for _ in read_walks(path)) if path.exists() else 0
    problems = islice(generate("train", seed=_SEED), done, count)
    with path.open("ab") as file:
        for start in track(range(done, count, _CHUNK), description="walks"):
            for walk in asyncio.run(_walk_all(weak, strong, list(islice(problems, _CHUNK)), start)):
                file.write(msgspec.json.encode(walk) + b"\n")
            file.flush()


def read_walks(path: Path) -> Iterator[Walk]:
    """The walks of a file that `write_walks` wrote."""
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line, type=Walk)


async def _walk_all(weak: LabModel, strong: LabModel, problems: list[Problem], start: int) -> list[Walk]:

    async def walk(number: int, problem: Problem) -> Walk:
        return await _walk(weak, strong, problem, np.random.default_rng([_SEED, number]))

    return await map_concurrently(walk, count(start), problems, in_flight=_IN_FLIGHT)


async def _walk(weak: LabModel, strong: LabModel, problem: Problem, rng: np.random.Generator) -> Walk:
    """Each walk has its own share of strong steps, since a router's prefixes hold steps of both models."""
    story, prefix = Story.parse(problem.text), Prefix(problem=problem, session=problem.id)
    share, choices, correct, ended = rng.choice(_STRONG_SHARES), [], True, False
    while correct and not ended:
        choice = await _choice(weak, strong, story, prefix, rng)
        choices += [choice] if choice else []
        author = strong if rng.random() < share else weak
        (draft,) = await author.propose(prefix, 1, _seeded(rng))
        correct, ended = _is_correct(story, prefix, draft.text), draft.stop is not Stop.SEPARATOR
        prefix = prefix.extended(Step(role="walk", text=draft.text, tokens=0))
    steps = tuple(step.text for step in prefix.steps)
    return Walk(problem=problem.text, steps=steps, last_correct=correct, choices=tuple(choices))


async def _choice(
    weak: LabModel, strong: LabModel, story: Story, prefix: Prefix, rng: np.random.Generator
) -> Choice | None:
    """Five drafts of lab-weak at temperature 1 and one of lab-strong; None if all are correct, or none is."""
    by_weak = await weak.propose(prefix, _DRAFTS, _seeded(rng, temperature=1.0))
    by_strong = await strong.propose(prefix, 1, _seeded(rng))
    texts = dict.fromkeys(draft.text for draft in [*by_weak, *by_strong])
    candidates = tuple(Candidate(text=text, correct=_is_correct(story, prefix, text)) for text in texts)
    mixed = len({candidate.correct for candidate in candidates}) == 2
    return Choice(after=len(prefix.steps), candidates=candidates) if mixed else None


def _seeded(rng: np.random.Generator, temperature: float = LAB_SAMPLING.temperature) -> Sampling:
    return replace(LAB_SAMPLING, temperature=temperature, seed=int(rng.integers(2**31)))


def _is_correct(story: Story, prefix: Prefix, text: str) -> bool:
    return check_steps(story, [*(step.text for step in prefix.steps), text])[-1] is StepLabel.CORRECT
