"""Regenerated steps that turned out no better than the drafts that they replaced."""

from typing import Final, NamedTuple

from steproute.core.problem import Problem
from steproute.core.solution import ENVIRONMENT, Step
from steproute.core.trace import Trace
from steproute.lab.checker import StepLabel
from steproute.lab.labels import is_checkable, step_labels

WASTE_AT: Final = 0.3
"""The cost c at which the metrics of a curve state the waste."""


class Regenerations(NamedTuple):
    """Regenerated steps of a solution, or their means per problem.

    scored: those with a score before and after. wasted: those of them with a score no higher than the rejected one.
    checked: those of a problem with labels, any in an embedded world. wasted_by_checker: those of them that did not
    turn an incorrect step into a correct one; after an error none does.
    """

    scored: float = 0.0
    wasted: float = 0.0
    checked: float = 0.0
    wasted_by_checker: float = 0.0

    @property
    def share_wasted(self) -> float | None:
        """By the scores; None if no regenerated step was scored again."""
        return self.wasted / self.scored if self.scored else None

    @property
    def share_wasted_by_checker(self) -> float | None:
        """By the checker; None without a regenerated step that it can check."""
        return self.wasted_by_checker / self.checked if self.checked else None


def regenerations(problem: Problem, trace: Trace) -> Regenerations:
    """The regenerated steps of one solution.

    A step is scored again with the step that follows it, so a regenerated last step has no new score. Source:
    Arbitrage (arXiv 2512.05033), wasted calls of RSD.
    """
    steps = [step for step in trace.steps if step.role != ENVIRONMENT]
    again = [index for index, step in enumerate(steps) if step.rejected is not None]
    pairs = [(steps[index].rejected_score, steps[index].score) for index in again]
    scored = [(old, new) for old, new in pairs if old is not None and new is not None]
    checked = again if again and is_checkable(problem) else []
    return Regenerations(
        scored=len(scored),
        wasted=sum(new <= old for old, new in scored),
        checked=len(checked),
        wasted_by_checker=sum(not mended for mended in _mended(problem, steps, checked)),
    )


def _mended(problem: Problem, steps: list[Step], again: list[int]) -> list[bool]:
    """Whether each regenerated step is correct where the rejected one was the first error."""
    if not again:
        return []
    texts = [step.text for step in steps]
    labels = step_labels(problem, texts)
    correct = [index for index in again if labels[index] is StepLabel.CORRECT]
    saved = {
        index
        for index in correct
        if step_labels(problem, [*texts[:index], steps[index].rejected or ""])[-1] is not StepLabel.CORRECT
    }
    return [index in saved for index in again]
