"""What happens while a problem is solved, in order; the live view reads these."""

from dataclasses import dataclass

from steproute.core.decision import Decision
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Scores, Step
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a problem began."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Drafted:
    """A model wrote a draft."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Scored:
    """A scorer judged every step of the prefix."""

    scores: Scores


@dataclass(frozen=True, slots=True)
class Decided:
    """The policy decided about `draft`, whose newest step has this score; None if it has none."""

    decision: Decision
    draft: Draft | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A step joined the prefix."""

    step: Step


@dataclass(frozen=True, slots=True)
class Billed:
    """A call was billed. A draft's line reads as discarded here; its purpose is final on the trace."""

    line: AccountLine


@dataclass(frozen=True, slots=True)
class Finished:
    """The problem ended, with any outcome."""

    trace: Trace


Event = Started | Drafted | Scored | Decided | Accepted | Billed | Finished
