"""The checker of final answers, under the name by which evaluations know it."""

from steproute.core.verdict import Verdict
from steproute.grading.checker import AnswerChecker

__all__ = ["AnswerChecker", "Verdict"]
