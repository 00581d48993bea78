"""A finished solution, with everything that was spent on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from steproute.core.grade import Verdict
from steproute.core.solution import Outcome, Step
from steproute.core.usage import AccountLine, Purpose, Usage

_GENERATING = (Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.CANCELLED, Purpose.RETRY)
_DISCARDED = (Purpose.DISCARDED, Purpose.CANCELLED, Purpose.RETRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """A call that failed for good and was done without, as the limits declare.

    role: of the model or scorer that failed; reason: its error.
    """

    role: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerVotes:
    """An answer in a vote over whole solutions: how many gave it, and the sum of their weights."""

    answer: str
    votes: int
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """An action that a model wrote, and its output. by: who gave the output; a model does if no tool could."""

    action: str
    output: str
    by: Literal["tool", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUsage:
    """What the calls of one role have used. read_tokens: cached or not; output_tokens: kept or not."""

    calls: int
    read_tokens: int
    output_tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One solved (or failed) problem.

    `route` names the strategy, policy and knob that solved it; `error` says why it failed, `at_fault` the role of the
    model or scorer that failed, and `notes` which declared fallbacks were taken on the way and which route was chosen.
    `fallbacks` holds the failures as data: what the solution was finished without; the next run tries its problem
    again. answer_votes: what a vote over whole solutions was between, the winner first.

    tools: the actions that models took on the way, in order.

    verdict: of `grader`, on the answer against `gold`; None if there is none, because the problem failed, has no gold
    answer or has not been graded.

    The account has one line for every model call, so for each role the generated tokens equal accepted + discarded +
    cancelled + retried ones.
    """

    problem_id: str
    route: str
    steps: tuple[Step, ...]
    answer: str | None
    outcome: Outcome
    account: tuple[AccountLine, ...]
    latency_s: float
    seed: int
    error: str | None = None
    notes: tuple[str, ...] = ()
    at_fault: str | None = None
    verdict: Verdict | None = None
    gold: str | None = None
    grader: str | None = None
    fallbacks: tuple[Fallback, ...] = ()
    answer_votes: tuple[AnswerVotes, ...] = ()
    tools: tuple[ToolUse, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is no solution to judge. A failed or cancelled problem is not an incorrect answer."""
        return self.outcome in (Outcome.FAILED, Outcome.CANCELLED)

    @property
    def unsettled(self) -> bool:
        """Whether the next run tries it again: there is no solution, or one that is not as it would have been."""
        return self.failed or bool(self.fallbacks)

    @property
    def cost_usd(self) -> Decimal:
        """Everything spent, discarded drafts and scoring included."""
        return _cost_usd(self.account)

    @property
    def calls_latency_s(self) -> float:
        """Seconds of all calls, one after the other: for steps from a tree, which keeps how long each took once."""
        return sum(line.latency_s for line in self.account)

    @property
    def measured_latency_s(self) -> float:
        """Wall-clock seconds from start to end, with all else that was in flight; 0 if no call took any time."""
        return self.latency_s if self.calls_latency_s else 0.0

    def usage_by_role(self) -> dict[str, RoleUsage]:
        """What each role has used, in the order of their first calls."""
        lines = {
            role: [x for x in self.account if x.role == role] for role in dict.fromkeys(x.role for x in self.account)
        }
        return {role: _role_usage(own) for role, own in lines.items()}

    def generated_tokens(self, role: str, *purposes: Purpose) -> int:
        """Output tokens of a role, of all purposes that generate or of the given ones."""
        counted = purposes or _GENERATING
        return sum(x.usage.output_tokens for x in self.account if x.role == role and x.purpose in counted)

    def discarded_tokens(self) -> int:
        """Output tokens of all models that no solution kept."""
        return sum(x.usage.output_tokens for x in self.account if x.purpose in _DISCARDED)

    def scored_tokens(self) -> int:
        """Tokens that scorers read, cached or not."""
        return sum(x.usage.read_tokens for x in self.account if x.purpose is Purpose.SCORE)


def total_usage(lines: Iterable[AccountLine]) -> Usage:
    """Sum of the lines' usage."""
    return sum((line.usage for line in lines), Usage())


def _cost_usd(lines: Iterable[AccountLine]) -> Decimal:
    return sum((line.cost_usd for line in lines), Decimal(0))


def _role_usage(lines: Sequence[AccountLine]) -> RoleUsage:
    total = total_usage(lines)
    return RoleUsage(
        calls=len(lines),
        read_tokens=total.read_tokens,
        output_tokens=total.output_tokens,
        cost_usd=_cost_usd(lines),
    )
