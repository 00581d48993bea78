"""The checker's labels for the problems of either embedded world."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.story import Story
from steproute.lab.trim_world.checker import check_drawn
from steproute.lab.trim_world.steps import is_drawn

_STORIES: Final = 4096


def step_labels(problem: Problem, texts: Sequence[str]) -> list[StepLabel]:
    """One label per step of a solution. Raises DatasetError for a problem that is of no embedded world."""
    return check_drawn(problem, texts) if is_drawn(problem) else check_steps(_story(problem.text), texts)


def is_checkable(problem: Problem) -> bool:
    """Whether a problem is of an embedded world, so that its steps have labels."""
    if is_drawn(problem):
        return True
    try:
        _story(problem.text)
    except DatasetError:
        return False
    return True


@lru_cache(maxsize=_STORIES)
def _story(text: str) -> Story:
    return Story.parse(text)
