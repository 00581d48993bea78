"""The exact checker of TRIM's world."""

from collections.abc import Iterator, Sequence

from steproute.core.problem import Problem
from steproute.lab.checker import StepLabel
from steproute.lab.trim_world.steps import DrawnStep, read_step


def check_drawn(problem: Problem, texts: Sequence[str]) -> list[StepLabel]:
    """One verdict per step. Raises DatasetError for a text that is not a step of this world."""
    return [verdict for verdict, _ in checked(problem, texts)]


def checked(problem: Problem, texts: Sequence[str]) -> Iterator[tuple[StepLabel, DrawnStep]]:
    """Each step with its verdict. Nothing repairs a solution after its first error."""
    on_track = True
    for text in texts:
        step = read_step(problem, text)
        verdict = StepLabel.AFTER_ERROR
        if on_track:
            verdict = StepLabel.CORRECT if step.correct else StepLabel.FIRST_ERROR
        on_track &= step.correct
        yield verdict, step
