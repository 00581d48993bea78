"""Grading of multiple-choice questions."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.choice import choice, letter_of
from steproute.core.grade import Grade
from steproute.core.problem import Problem
from steproute.core.solution import Meter


@dataclass(frozen=True, slots=True)
class ChoiceGrader:
    """Compares the letters of two options, however they are written: `b`, `(B)`, `\\text{B}`, `B: 12 apples`."""

    compares: ClassVar[bool] = True

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """CORRECT for the same letter; an answer without one is incorrect, and a gold answer without one UNDECIDED."""
        gold = letter_of(problem.answer or "")
        if gold is None:
            return Grade.undecided(f"the gold answer {problem.answer!r} is no letter")
        return Grade.of(gold == (letter_of(answer or "") if problem.rule.extracts else choice(solution)))
