"""Grading by mathematics: the same value in any spelling."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.grade import Grade, Verdict, graded_text
from steproute.core.problem import Problem
from steproute.core.solution import Meter
from steproute.grading.checker import shared_checker


@dataclass(frozen=True, slots=True)
class MathGrader:
    """Compares answers as `docs/reference/grading.md` says; formulas by math-verify, in a worker process."""

    compares: ClassVar[bool] = True

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """CORRECT for the same value; UNDECIDED if two tries took too long. No answer is incorrect."""
        assert problem.answer is not None
        verdict = await shared_checker().settled(graded_text(problem, answer, solution), problem.answer)
        return Grade(verdict, "took too long to compare" if verdict is Verdict.UNDECIDED else "")
