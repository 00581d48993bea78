"""Grading by text."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.grade import Grade, graded_text
from steproute.core.problem import Problem
from steproute.core.solution import Meter


@dataclass(frozen=True, slots=True)
class ExactGrader:
    """Compares texts, of which neither white space nor case counts."""

    compares: ClassVar[bool] = True

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """CORRECT for the same text; no answer is incorrect."""
        assert problem.answer is not None
        text = graded_text(problem, answer, solution)
        return Grade.of(text is not None and _plain(text) == _plain(problem.answer))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
