"""A limit in dollars that is never exceeded: each call first reserves the maximum that it can cost.

The limit does not depend on runs. `limited` puts it in front of the models and scorers of a Roles, so it bounds
whatever calls them: a run, training, a gateway.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from typing import Final

from steproute.core.errors import ConfigError, SpendingLimitReached, TokenLimitReached
from steproute.core.ports import CAPABILITIES, READS_AUTHORS, READS_CONFIDENCE, NewestStepScorer, StepModel, StepScorer
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores
from steproute.core.usage import Price, Usage
from steproute.core.usage_bounds import most_scored, most_written
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.scorers.step_by_step import StepByStep

_PER_TOKEN: Final = Price(input=Decimal(0), output=Decimal(1_000_000))
"""A price by which a limit counts generated tokens in the place of dollars."""


@dataclass(slots=True)
class Payment:
    """An open reservation. usd: the cost of the call, to be set before it closes."""

    most_usd: Decimal
    usd: Decimal = Decimal(0)


class SpendingLimit:
    """Dollars paid, dollars reserved, and the limit that their sum never exceeds.

    max_usd: None for no limit; spent_usd: paid before; on_paid: called with each payment. Only a payment above its
    reservation, by a backend that uses more than it may, can exceed the limit; `excess_usd` counts it. Raises
    ConfigError for a limit that is not above 0.
    """

    def __init__(
        self,
        max_usd: Decimal | None,
        *,
        spent_usd: Decimal = Decimal(0),
        on_paid: Callable[[Decimal], None] = lambda usd: None,
    ) -> None:
        if max_usd is not None and not (isfinite(max_usd) and max_usd > 0):
            raise ConfigError(
                f"{max_usd} is not a limit.", where="max_usd", remedy="Give dollars above 0, or leave it out."
            )
        self.max_usd, self.spent_usd = max_usd, spent_usd
        self.reserved_usd = self.excess_usd = Decimal(0)
        self._on_paid = on_paid
        self._open = 0
        self._waiting: deque[tuple[Decimal, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserve(self, most_usd: Decimal, *, wait: bool = True) -> AsyncIterator[Payment]:
        """Dollars for one call, as long as the context lasts; then the payment replaces them.

        A call that does not fit waits, first come first served, until others have ended. Raises SpendingLimitReached if
        it does not fit and no other is open, or immediately if it would have to wait and `wait` is false.
        """
        await self._admit(most_usd, wait)
        payment = Payment(most_usd)
        try:
            yield payment
        finally:
            self._close(payment)

    async def _admit(self, usd: Decimal, wait: bool) -> None:
        if usd == 0 or (not self._waiting and self._fits(usd)):
            self._grant(usd)
        elif not wait or self._open == 0:
            raise self._reached(usd)
        else:
            await self._wait(usd)

    async def _wait(self, usd: Decimal) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append((usd, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:  # granted at the same moment
                self._release(usd)
            elif (usd, place) in self._waiting:
                self._waiting.remove((usd, place))
            self._wake()
            raise

    def _close(self, payment: Payment) -> None:
        self._release(payment.most_usd)
        self.spent_usd += payment.usd
        self.excess_usd += max(Decimal(0), payment.usd - payment.most_usd)
        self._wake()
        if payment.usd:
            self._on_paid(payment.usd)

    def _wake(self) -> None:
        """Admit waiting calls in order; if none is open, a call that does not fit never will."""
        while self._waiting:
            usd, place = self._waiting[0]
            if not self._fits(usd) and self._open > 0:
                return
            self._waiting.popleft()
            if place.done():  # cancelled, and about to leave
                continue
            if self._fits(usd):
                self._grant(usd)
                place.set_result(None)
            else:
                place.set_exception(self._reached(usd))

    @property
    def left_usd(self) -> Decimal | None:
        """What is neither paid nor reserved; None without a limit."""
        return None if self.max_usd is None else self.max_usd - self.spent_usd - self.reserved_usd

    def _fits(self, usd: Decimal) -> bool:
        return self.max_usd is None or self.spent_usd + self.reserved_usd + usd <= self.max_usd

    def _grant(self, usd: Decimal) -> None:
        self._open += usd > 0
        self.reserved_usd += usd

    def _release(self, usd: Decimal) -> None:
        self._open -= usd > 0
        self.reserved_usd -= usd

    def _reached(self, usd: Decimal) -> SpendingLimitReached:
        return SpendingLimitReached(
            f"${self.spent_usd:.6f} of ${self.max_usd} are spent, and the next call can cost up to "
            f"${usd:.6f}, so it was not made.",
            where="max_usd",
        )


class TokenLimit(SpendingLimit):
    """The same of generated tokens."""

    def _reached(self, usd: Decimal) -> SpendingLimitReached:
        return TokenLimitReached(
            f"{self.spent_usd} of {self.max_usd} tokens are used, and the next call can use up to {usd}, so it was not "
            "made.",
            where="max_tokens",
        )


def limited(roles: Roles, limit: SpendingLimit, *, shrinks: bool = False) -> Roles:
    """The roles with the limit in front of every model and scorer. Call it before a step tree is put in front.

    shrinks: see LimitedModel.
    """
    return replace(
        roles,
        models={name: _limited_model(role, limit, shrinks) for name, role in roles.models.items()},
        scorers={name: _limited_scorer(role, limit) for name, role in roles.scorers.items()},
    )


def limited_scorers(roles: Roles, tokens: int) -> Roles:
    """The roles whose scorers together generate no more tokens than that; those that generate none need none."""
    limit = TokenLimit(Decimal(tokens))
    scorers = {name: _limited_scorer(role, limit, _PER_TOKEN) for name, role in roles.scorers.items()}
    return replace(roles, scorers=scorers)


def limited_tokens(roles: Roles, tokens: int) -> Roles:
    """The roles whose models and scorers together generate no more tokens than that.

    A model for which too few are left gets those that are.
    """
    limit = TokenLimit(Decimal(tokens))
    return replace(
        roles,
        models={name: _limited_model(role, limit, True, _PER_TOKEN) for name, role in roles.models.items()},
        scorers={name: _limited_scorer(role, limit, _PER_TOKEN) for name, role in roles.scorers.items()},
    )


def most_judged(roles: Roles, prefix: Prefix) -> int:
    """Tokens that one call of each scorer about the newest step of a prefix can generate at most."""
    return sum(map(_judged(prefix), roles.scorers.values()))


def _judged(prefix: Prefix) -> Callable[[ScorerRole], int]:
    def tokens(role: ScorerRole) -> int:
        if role.members:
            return sum(map(tokens, role.members.values()))
        return 0 if READS_CONFIDENCE.of(role.scorer) else most_scored(role.scorer, prefix).output_tokens

    return tokens


def check_priced(roles: Roles) -> None:
    """Raises ConfigError that names the first model or scorer whose price is not set."""
    prices: dict[str, Price] = {f"models.{name}": role.price for name, role in roles.models.items()}
    prices |= {f"scorers.{name}": role.price for name, role in roles.scorers.items() if _is_paid(role)}
    for where, price in prices.items():
        if not price.is_set:
            raise ConfigError(
                f"{where} has no price, so its cost is not known.",
                where="max_usd",
                remedy=f"Set price = {{ input = …, output = … }} below [{where}], in dollars per million "
                "tokens, 0 for what costs nothing, or set no limit in dollars.",
            )


def _is_paid(role: ScorerRole) -> bool:
    """An ensemble's members are paid, each by itself; a scorer that reads confidence makes no call."""
    return not role.members and not READS_CONFIDENCE.of(role.scorer)


def _limited_model(role: ModelRole, limit: SpendingLimit, shrinks: bool, price: Price | None = None) -> ModelRole:
    """price: what the limit counts by, if not by the role's own price."""
    return replace(role, model=LimitedModel(role.model, price or role.price, limit, shrinks=shrinks))


def _limited_scorer(role: ScorerRole, limit: SpendingLimit, price: Price | None = None) -> ScorerRole:
    """price: what the limit counts by, if not by the role's own price."""
    if role.members:
        members: Mapping[str, ScorerRole] = {
            name: _limited_scorer(member, limit, price) for name, member in role.members.items()
        }
        return replace(role, members=members)
    if READS_CONFIDENCE.of(role.scorer):
        return role
    return replace(role, scorer=LimitedScorer(role.scorer, price or role.price, limit))


class _Paid:
    """Reserves for the calls of one model or scorer, and reserves more after a call that cost more than its maximum."""

    def __init__(self, price: Price, limit: SpendingLimit) -> None:
        self._price, self._limit = price, limit
        self._factor = Decimal(1)

    @asynccontextmanager
    async def call(self, most: Callable[[], Usage], meter: Meter) -> AsyncIterator[list[Usage]]:
        """Reserve for one call. Put the usage that the call returned into the list; without it the meter counts."""
        before, factor = self._price.cost(meter.total), self._factor
        most_usd = Decimal(0) if self._limit.max_usd is None else self._price.most(most()) * factor
        async with self._limit.reserve(most_usd, wait=not meter.speculative) as payment:
            returned: list[Usage] = []
            try:
                yield returned
            finally:
                metered = self._price.cost(meter.total) - before
                payment.usd = self._price.cost(sum(returned, Usage())) if returned else metered
                if most_usd and payment.usd > most_usd:
                    self._factor = max(self._factor, factor * payment.usd / most_usd)

    def affordable(self, most: Usage, tokens: int) -> int:
        """Generated tokens that what is left pays for, of a call that could use `most` with `tokens` of them.

        As many as are asked for if all of them fit, or none does.
        """
        left = self._limit.left_usd
        if left is None or self._price.most(most) * self._factor <= left:
            return tokens
        reading = self._price.most(replace(most, output_tokens=0))
        writing = self._price.most(most) - reading
        share = (left / self._factor - reading) / writing if writing else Decimal(0)
        return max(1, int(tokens * share)) if share > 0 else tokens


class LimitedModel:
    """A step model whose calls are within a spending limit; a speculative call is refused instead of waiting.

    shrinks: whether a call that does not fit gets fewer tokens, if what is left pays for any.
    """

    def __init__(self, model: StepModel, price: Price, limit: SpendingLimit, *, shrinks: bool = False) -> None:
        self.name, self.capabilities = model.name, CAPABILITIES.of(model)
        self._model, self._paid, self._shrinks = model, _Paid(price, limit), shrinks

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose. Raises SpendingLimitReached."""
        meter = meter or Meter()
        if self._shrinks:
            tokens = self._paid.affordable(most_written(self._model, prefix, n, sampling), sampling.max_tokens)
            sampling = replace(sampling, max_tokens=tokens)
        async with self._paid.call(lambda: most_written(self._model, prefix, n, sampling), meter) as returned:
            drafts = await self._model.propose(prefix, n, sampling, meter)
            returned += [draft.usage for draft in drafts]
            returned += [call.usage for draft in drafts for call in draft.sent_back]
        return drafts

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """That of its model; see `core.usage_bounds`."""
        return most_written(self._model, prefix, n, sampling)


class LimitedScorer:
    """A step scorer whose calls are within a spending limit. A scorer of the newest step alone pays for each call by
    itself."""

    def __init__(self, scorer: StepScorer, price: Price, limit: SpendingLimit) -> None:
        self.name = scorer.name
        self._scorer, self._paid = scorer, _Paid(price, limit)
        self._steps = StepByStep(self.name, self.score_newest)

    @property
    def judges_newest_alone(self) -> bool:
        """Whether its scorer scores the newest step with a separate call."""
        return isinstance(self._scorer, NewestStepScorer) and self._scorer.judges_newest_alone

    @property
    def reads_authors(self) -> bool:
        """Whether its scorer reads who wrote the steps."""
        return READS_AUTHORS.of(self._scorer)

    def most_usage(self, prefix: Prefix) -> Usage:
        """Its scorer's; see BoundedScorer."""
        return most_scored(self._scorer, prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score. Raises SpendingLimitReached."""
        meter = meter or Meter()
        if self.judges_newest_alone:
            return await self._steps.score(prefix, meter)
        async with self._paid.call(lambda: most_scored(self._scorer, prefix), meter) as returned:
            scores = await self._scorer.score(prefix, meter)
            returned.append(scores.usage)
        return scores

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        """The newest step's score alone. Raises SpendingLimitReached."""
        scorer = self._scorer
        assert isinstance(scorer, NewestStepScorer)
        async with self._paid.call(lambda: most_scored(scorer, prefix), meter) as returned:
            scores = await scorer.score_newest(prefix, meter)
            returned.append(scores.usage)
        return scores
