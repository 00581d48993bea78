"""Whether a solution is correct, as a grader says."""

from dataclasses import dataclass

from steproute.core.problem import Problem
from steproute.core.solution import ModelCall
from steproute.core.verdict import Verdict

__all__ = ["Grade", "Verdict", "graded_text"]


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict, why where that is worth saying, and the model calls that it took."""

    verdict: Verdict
    note: str = ""
    calls: tuple[ModelCall, ...] = ()

    @classmethod
    def of(cls, right: bool) -> "Grade":
        """RIGHT or WRONG."""
        return cls(Verdict.CORRECT if right else Verdict.INCORRECT)

    @classmethod
    def undecided(cls, note: str) -> "Grade":
        """UNDECIDED, and why."""
        return cls(Verdict.UNDECIDED, note)


def graded_text(problem: Problem, answer: str | None, solution: str) -> str | None:
    """What is compared: the answer, or the whole solution if the problem's rule extracts none; None for no answer."""
    return answer if problem.rule.extracts else solution
