"""Drawn steps: the text of a step names its draw, and the draw decides everything about the step."""

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem

_STEP: Final = re.compile(r"Step (\d+) by (trim-\w+), draw ([0-9a-f]{16})\.(?: So the answer is \\boxed\{(\d+)\}\.)?")
_WRONG_ANSWERS: Final = 8
_REMEMBERED: Final = 65_536


@dataclass(frozen=True, slots=True)
class Chances:
    """Independent uniform numbers in [0, 1) that belong to one draw."""

    correct: float
    ends: float
    tokens: float
    score_bin: float
    score_in_bin: float


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """A step that is read back from its text. correct: given that every earlier step is."""

    model: str
    chances: Chances
    correct: bool


def is_drawn(problem: Problem) -> bool:
    """Whether a problem belongs to TRIM's world."""
    return any(name.startswith("trim-") for name in problem.tags)


def new_draw(seed: int, index: int, place: int) -> str:
    """The name of a draw, 16 hexadecimal digits."""
    return hashlib.blake2b(f"{seed}/{index}/{place}".encode(), digest_size=8).hexdigest()


def step_text(place: int, model: str, draw: str, answer: str | None) -> str:
    """The text of a step; the last one has an answer."""
    ending = "" if answer is None else f" So the answer is \\boxed{{{answer}}}."
    return f"Step {place} by {model}, draw {draw}.{ending}"


def read_step(problem: Problem, text: str) -> DrawnStep:
    """A step from its text; raises DatasetError for any other text, and for a model without an accuracy."""
    return _read(problem.id, text, *problem.tags.items())


def accuracy_of(problem_id: str, model: str, tags: Mapping[str, str]) -> float:
    """P(a model's step is correct | correct prefix) on a problem; raises DatasetError if its tags do not say."""
    if model not in tags:
        raise DatasetError(f"{model!r} has no step accuracy. Problems come from --data trim-world.", where=problem_id)
    return float(tags[model])


def chances_of(problem_id: str, place: int, model: str, draw: str) -> Chances:
    """The chances of a draw, the same at every call."""
    digest = hashlib.blake2b(f"{problem_id}/{place}/{model}/{draw}".encode(), digest_size=40).digest()
    return Chances(*((number >> 11) * 2.0**-53 for number in struct.unpack("<5Q", digest)))


def wrong_answer(problem: Problem, draw: str) -> str:
    """One of a few incorrect answers, so that independent solutions can agree on one."""
    return str(int(problem.answer or 0) + 1 + int(draw, 16) % _WRONG_ANSWERS)


@lru_cache(_REMEMBERED)
def _read(problem_id: str, text: str, *tags: tuple[str, str]) -> DrawnStep:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise DatasetError(
            f"{text[:60]!r} is not a step of TRIM's world. Its models write their own steps.", where=problem_id
        )
    place, model, draw, _ = match.groups()
    chances = chances_of(problem_id, int(place), model, draw)
    return DrawnStep(model, chances, chances.correct < accuracy_of(problem_id, model, dict(tags)))
