"""What is left of a problem's limits, and the calls that they pay for."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from steproute.core.errors import BudgetExceeded, SpendingLimitReached
from steproute.core.ports import CAPABILITIES, READS_CONFIDENCE, Continuation
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored, most_written, readings
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, ScorerRole
from steproute.engine.spending import SpendingLimit, TokenLimit

_CALLS_PER_STEP: Final = 2  # of each role: a draft, and its continuation if it is degenerate
_MOST_REQUESTS: Final = 2  # of one call: an instructed model's reply may be sent back once


@dataclass(slots=True, kw_only=True)
class AllowedCall:
    """A call that the limits pay for. sampling, n: no more tokens and drafts than they allow; outcome: the limit that
    shortened it, if one did; drafts: what it returned, to be set."""

    sampling: Sampling
    n: int
    outcome: Outcome | None
    drafts: list[Draft] = field(default_factory=list)


class Budget:
    """A problem's limits and its account. `exceeded`: the outcome of the limit that ended the problem, if one did.

    A call is counted, and the most that it can write and cost is reserved, before it is made. So in any order of events
    no limit is exceeded, except by a backend that uses more than it may.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._money = SpendingLimit(limits.max_cost_usd)
        self._tokens = TokenLimit(None if limits.max_tokens is None else Decimal(limits.max_tokens))
        self._calls: Counter[str] = Counter()
        self._scored: set[tuple[str, tuple[str, ...]]] = set()
        self.exceeded: Outcome | None = None

    @property
    def left_usd(self) -> Decimal | None:
        """Dollars that are neither spent nor reserved; None without a limit."""
        return self._money.left_usd

    @property
    def calls_left(self) -> dict[str, int]:
        """Calls that each role with a limit of calls may still make."""
        return {role: most - self._calls[role] for role, most in (self._limits.max_calls or {}).items()}

    def binding(self, role: str, model: ModelRole, prefix: Prefix, sampling: Sampling) -> Outcome | None:
        """The limit that cannot pay the role's next call, for one draft, in full; None if all can."""
        if self._calls_lack(role, model):
            return Outcome.CALL_BUDGET
        if self._tokens_left(waits=False) == 0:
            return Outcome.TOKEN_BUDGET
        left = self.left_usd
        is_short = left is not None and _most_usd(model, prefix, sampling) > left
        return Outcome.MONEY_BUDGET if is_short else None

    def clamp(
        self, role: str, model: ModelRole, prefix: Prefix, sampling: Sampling, n: int = 1, *, waits: bool = False
    ) -> tuple[Sampling, int, Outcome | None]:
        """How many of `n` drafts the limits can pay at full length, and the limit that shortens one, if one does.

        At least one draft is left, with no more tokens than the limits can pay. waits: whether tokens and
        dollars that are reserved now count as left. Raises BudgetExceeded if a limit pays for no call.
        """
        n = self._drafts_in_full(model, prefix, sampling, self._drafts_left(role, model, n), waits)
        tokens, outcome = sampling.max_tokens, None
        tokens_left = self._tokens_left(waits)
        if tokens_left is not None and tokens_left < tokens:
            tokens, outcome = tokens_left, Outcome.TOKEN_BUDGET
        payable = self._payable_tokens(model, prefix, sampling, waits)
        if payable < tokens:
            tokens, outcome = payable, Outcome.MONEY_BUDGET
        if outcome is None:
            return sampling, n, None
        if tokens <= 0:
            raise self.end(outcome, "what is left pays for no call")
        return replace(sampling, max_tokens=tokens), n, outcome

    @asynccontextmanager
    async def writing(
        self, role: str, model: ModelRole, prefix: Prefix, n: int, wanted: Sampling, meter: Meter
    ) -> AsyncIterator[AllowedCall]:
        """One try of a call for `n` drafts or fewer, counted, and its tokens and price reserved.

        Each draft counts as a call, in however many requests the backend asks for them. Raises BudgetExceeded if not
        even one can be paid.
        """
        sampling, n, outcome = self.clamp(role, model, prefix, wanted, n, waits=not meter.speculative)
        most_usd = Decimal(0) if self._money.max_usd is None else _most_usd(model, prefix, sampling, n)
        async with (
            self._reserved(self._tokens, Decimal(n * sampling.max_tokens), _generated, meter) as written,
            self._reserved(self._money, most_usd, model.price.cost, meter) as used,
        ):
            n = self._drafts_left(role, model, n)  # another call may have been faster
            call, most = AllowedCall(sampling=sampling, n=n, outcome=outcome), n * _requests(model)
            self._calls[role] += most
            try:
                yield call
            finally:
                self._calls[role] -= most - min(most, _made(call, meter))
            for draft in call.drafts:
                used += [draft.usage, *(sent.usage for sent in draft.sent_back)]
            written += used

    @asynccontextmanager
    async def scoring(self, scorer: ScorerRole, prefix: Prefix, meter: Meter) -> AsyncIterator[list[Usage]]:
        """A scorer's call, whose usage is to be put into the list; its price is reserved. Raises BudgetExceeded."""
        is_free = self._money.max_usd is None or READS_CONFIDENCE.of(scorer.scorer)
        read = [] if is_free else readings(scorer.scorer, prefix)
        places = {(scorer.scorer.name, each.texts): each for each in read}
        new = [each for place, each in places.items() if place not in self._scored]
        most_usd = sum((scorer.price.most(most_scored(scorer.scorer, each)) for each in new or read[-1:]), Decimal(0))
        async with self._reserved(self._money, most_usd, scorer.price.cost, meter) as used:
            yield used
        self._scored.update(places)

    def end(self, outcome: Outcome, why: str) -> BudgetExceeded:
        """The error that ends the problem by a limit."""
        self.exceeded = outcome
        return BudgetExceeded(f"the problem's {outcome}: {why}. Raise the limit to continue.")

    def is_ample(self, samplings: Mapping[str, Sampling], steps_left: int, lookahead: int) -> bool:
        """Whether no limit can bind, however long the drafts of these roles are.

        Assumes the worst case: each step's `lookahead` speculative drafts are all discarded. A money budget can always
        bind, since what a call may cost is far above what it costs.
        """
        if self._limits.max_cost_usd is not None:
            return False
        tries = _CALLS_PER_STEP * (1 + lookahead) * (self._limits.retries + 1) * steps_left
        if any(left < _MOST_REQUESTS * tries for role, left in self.calls_left.items() if role in samplings):
            return False
        tokens_left = self._tokens_left(waits=False)
        return tokens_left is None or tokens_left >= tries * _tokens(samplings.values())

    @asynccontextmanager
    async def _reserved(
        self, limit: SpendingLimit, most: Decimal, amount: Callable[[Usage], Decimal], meter: Meter
    ) -> AsyncIterator[list[Usage]]:
        """Tokens or dollars for one call. The usage in the list is paid, or what the meter counts if the call does not
        return."""
        async with AsyncExitStack() as stack:
            try:
                payment = await stack.enter_async_context(limit.reserve(most, wait=not meter.speculative))
            except SpendingLimitReached:
                outcome = Outcome.TOKEN_BUDGET if limit is self._tokens else Outcome.MONEY_BUDGET
                raise self.end(outcome, "what is left pays for no call") from None
            used: list[Usage] = []
            try:
                yield used
            except BaseException:
                used[:] = meter.calls
                raise
            finally:
                payment.usd = sum(map(amount, used), Decimal(0))

    def _drafts_left(self, role: str, model: ModelRole, n: int) -> int:
        """How many of `n` drafts the role's calls allow. Raises BudgetExceeded if that is none."""
        left = self.calls_left.get(role)
        drafts = n if left is None else min(n, left // _requests(model))
        if drafts == 0:
            raise self.end(Outcome.CALL_BUDGET, f"{role} has made all of its calls")
        return drafts

    def _drafts_in_full(self, model: ModelRole, prefix: Prefix, sampling: Sampling, n: int, waits: bool) -> int:
        """How many of `n` drafts tokens and dollars pay at full length, but at least one."""
        tokens, usd = self._tokens_left(waits), self._usd_left(waits)
        if tokens is not None:
            n = max(1, min(n, tokens // sampling.max_tokens))
        while n > 1 and usd is not None and _most_usd(model, prefix, sampling, n) > usd:
            n -= 1
        return n

    def _payable_tokens(self, model: ModelRole, prefix: Prefix, sampling: Sampling, waits: bool) -> int:
        """How many of the sampling's tokens what is left of the dollars pays for, beside what the call reads."""
        left = self._usd_left(waits)
        if left is None or _most_usd(model, prefix, sampling) <= left:
            return sampling.max_tokens
        payable, too_many = 0, sampling.max_tokens
        while too_many - payable > 1:
            middle = (payable + too_many) // 2
            if _most_usd(model, prefix, replace(sampling, max_tokens=middle)) <= left:
                payable = middle
            else:
                too_many = middle
        return payable

    def _calls_lack(self, role: str, model: ModelRole) -> bool:
        return self.calls_left.get(role, _MOST_REQUESTS) < _requests(model)

    def _usd_left(self, waits: bool) -> Decimal | None:
        return _left(self._money, waits)

    def _tokens_left(self, waits: bool) -> int | None:
        left = _left(self._tokens, waits)
        return None if left is None else max(0, int(left))


def _left(limit: SpendingLimit, waits: bool) -> Decimal | None:
    left = limit.left_usd
    return left if left is None or not waits else left + limit.reserved_usd


def _most_usd(model: ModelRole, prefix: Prefix, sampling: Sampling, n: int = 1) -> Decimal:
    return model.price.most(most_written(model.model, prefix, n, sampling))


def _requests(model: ModelRole) -> int:
    """The most requests for one draft of the model."""
    return _MOST_REQUESTS if CAPABILITIES.of(model.model).continuation is Continuation.INSTRUCT else 1


def _made(call: AllowedCall, meter: Meter) -> int:
    """What a call counts as, one for each draft at least: by what it returned, else by its meter."""
    return sum(1 + len(draft.sent_back) for draft in call.drafts) or call.n * _metered(meter)


def _metered(meter: Meter) -> int:
    return sum(map(_metered, meter.parts)) or 1


def _generated(usage: Usage) -> Decimal:
    return Decimal(usage.output_tokens)


def _tokens(samplings: Iterable[Sampling]) -> int:
    return sum(sampling.max_tokens for sampling in samplings)
