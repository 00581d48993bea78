"""Whether an answer is correct."""

from enum import StrEnum


class Verdict(StrEnum):
    """The result of a comparison; UNDECIDED if the mathematics took too long, or crashed."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"
