"""At which steps plans are gathered: a schedule over planning steps and tokens (MPPA)."""

import re
from dataclasses import dataclass
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.solution import Prefix

OPENINGS: Final = (
    *(
        "let me",
        "let's",
        "let us",
        "wait",
        "alternatively",
        "first",
        "next",
        "now",
        "so we need",
        "we need to",
        "to find",
    ),
    *("another way", "the plan", "hmm", "maybe"),
)
"""How planning steps begin. MPPA's list is not known in full: the first five are from it, the others are our choice."""
_PLANS: Final = re.compile(rf"\W*(?:{'|'.join(map(re.escape, OPENINGS))})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Whether to gather plans for the next step: often at the beginning, seldom later.

    They are gathered if the tokens since the last time are at least `gap` · (1 + position / `slowing`), where position
    is the tokens of the solution so far; always for the first step. MPPA's schedule varies with the position, and its
    numbers are not known: these are our choice. Raises ConfigError for numbers that cannot be.
    """

    gap: int = 40
    slowing: int = 400

    def __post_init__(self) -> None:
        if self.gap < 0:
            raise ConfigError(f"{self.gap} is below 0.", where="gap", remedy="Give tokens, 0 for every step.")
        if self.slowing < 1:
            raise ConfigError(f"{self.slowing} is below 1.", where="slowing", remedy="Give tokens.")

    def is_due(self, prefix: Prefix, last: int | None) -> bool:
        """last: how many tokens the solution had when plans were last gathered; None if they never were."""
        position = tokens_of(prefix)
        return last is None or position - last >= self.gap * (1 + position / self.slowing)


def tokens_of(prefix: Prefix) -> int:
    """The tokens of a solution so far."""
    return sum(step.tokens for step in prefix.steps)


def is_plan(text: str) -> bool:
    """Whether a step says what to do next, by how it begins."""
    return _PLANS.match(text) is not None
