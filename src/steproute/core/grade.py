"""Whether a solution is correct, as a grader says."""

from dataclasses import dataclass
from enum import StrEnum

from steproute.core.problem import Problem
from steproute.core.solution import ModelCall


class Verdict(StrEnum):
    """The result of a comparison; UNDECIDED if the mathematics took too long, or crashed."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict, a note that explains it if need be, and the model calls that it took."""

    verdict: Verdict
    note: str = ""
    calls: tuple[ModelCall, ...] = ()

    @classmethod
    def of(cls, correct: bool) -> "Grade":
        """CORRECT or INCORRECT."""
        return cls(Verdict.CORRECT if correct else Verdict.INCORRECT)

    @classmethod
    def undecided(cls, note: str) -> "Grade":
        """UNDECIDED, and why."""
        return cls(Verdict.UNDECIDED, note)


def graded_text(problem: Problem, answer: str | None, solution: str) -> str | None:
    """What is compared: the answer, or the whole solution if the problem's rule extracts none; None for no answer."""
    return answer if problem.rule.extracts else solution
