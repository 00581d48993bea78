"""Grading by what an environment said."""

from collections.abc import Sequence
from dataclasses import dataclass

from steproute.core.errors import ConfigError
from steproute.core.grade import Grade
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Step


@dataclass(frozen=True, slots=True)
class RewardGrader:
    """CORRECT if the rewards of all steps add up to at least `success_from`. It needs no gold answer.

    Raises ConfigError for a `success_from` of 0 or less, which a solution without any reward would reach.
    """

    success_from: float = 1.0

    def __post_init__(self) -> None:
        if not self.success_from > 0:
            raise ConfigError(
                f"{self.success_from} is not above 0.",
                where="success_from",
                remedy="Give the sum of rewards that a success has at least.",
            )

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """UNDECIDED: a text has no rewards."""
        return Grade.undecided("rewards are on a solution's steps, not in its text")

    async def grade_steps(self, problem: Problem, steps: Sequence[Step], meter: Meter) -> Grade:
        """See StepsGrader."""
        return Grade.of(sum(step.reward or 0.0 for step in steps) >= self.success_from)
