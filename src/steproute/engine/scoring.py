"""Scores of a prefix: a scorer's own or those of an ensemble's members, each model call on the account."""

from collections.abc import Hashable

from steproute.core.concurrency import gather_or_cancel
from steproute.core.errors import ContextOverflow, ScorerError
from steproute.core.ports import CombiningScorer
from steproute.core.replies import returned_scores, sound_scores
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Purpose
from steproute.engine.account import Account
from steproute.engine.budget import Budget
from steproute.engine.metering import Bill, Blame, MeteredCalls
from steproute.engine.roles import Roles, ScorerRole


class Scoring:
    """Asks the scorers of an episode and bills their calls."""

    def __init__(self, roles: Roles, calls: MeteredCalls, account: Account, budget: Budget) -> None:
        self._roles, self._calls, self._account, self._budget = roles, calls, account, budget
        self._newest: tuple[Hashable, Scores] | None = None

    async def scores(self, role: str, prefix: Prefix, key: Hashable = None) -> Scores:
        """The role's score of each step that a model wrote. What was scored just before is not scored again.

        key: of speculative scores, whose lines can be settled by it. Raises ScorerError, and BackendError if the
        scorer's server failed.
        """
        scored = role, tuple([(step.role, step.text, step.confidence) for step in prefix.steps])
        if key is None and self._newest is not None and self._newest[0] == scored:
            return self._newest[1]
        scores = await self._scores(role, self._roles.scorer(role), prefix.for_scorers, key)
        self._newest = scored, scores
        return scores

    async def _scores(self, role: str, scorer: ScorerRole, prefix: Prefix, key: Hashable) -> Scores:
        with Blame(role):
            scores = await (self._combined if scorer.members else self._billed)(role, scorer, prefix, key)
            return sound_scores(scores, scorer.scorer.name, len(prefix.steps))

    async def _combined(self, role: str, ensemble: ScorerRole, prefix: Prefix, key: Hashable) -> Scores:
        """The scores of all members, asked at once."""
        assert isinstance(ensemble.scorer, CombiningScorer)
        calls = [self._scores(name, member, prefix, key) for name, member in ensemble.members.items()]
        return ensemble.scorer.combined(await gather_or_cancel(*calls))

    async def _billed(self, role: str, scorer: ScorerRole, prefix: Prefix, key: Hashable) -> Scores:
        name = scorer.scorer.name
        bill = Bill(role=role, model=name, price=scorer.price)

        async def score(meter: Meter) -> Scores:
            async with self._budget.scoring(scorer, prefix, meter) as used:
                scores = returned_scores(await scorer.scorer.score(prefix, meter), name)
                used += [each.usage for each in scores.billed]
            return scores

        try:
            scores = await self._calls.make(bill, scorer.limiter, score, speculative=key is not None)
        except ContextOverflow as failure:  # the scorer's, which says nothing about the solution
            raise ScorerError(
                f"step {len(prefix.steps)} does not fit into its context ({failure}).",
                where=name,
                remedy="Give it a longer one, or set limits.max_steps lower.",
            ) from None
        for call in scores.billed:
            self._account.enter(bill.line(Purpose.SCORE, call.usage, call.latency_s, call.request_id), key)
        return scores
