"""The checker of final answers, under the name by which evaluations know it."""

from steproute.grading.checker import AnswerChecker, Verdict

__all__ = ["AnswerChecker", "Verdict"]
