"""What is left of a problem's token and money limits."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from steproute.core.errors import BudgetExceeded
from steproute.core.solution import Outcome, Sampling
from steproute.core.usage import Price
from steproute.engine.account import Account
from steproute.engine.limits import Limits

_CALLS_PER_STEP: Final = 2  # of each role: a draft, and its continuation if it is degenerate


class Budget:
    """A problem's limits and its account. `exceeded`: the outcome of the limit that ended the problem, if one did."""

    def __init__(self, limits: Limits, account: Account) -> None:
        self._limits, self._account = limits, account
        self.exceeded: Outcome | None = None

    def clamp(self, sampling: Sampling, price: Price, n: int = 1) -> tuple[Sampling, int, Outcome | None]:
        """How many of `n` drafts the budgets can pay at full length, and the budget that shortens one, if one does.

        At least one draft is left, with no more tokens than the budgets can pay. Raises BudgetExceeded if that is none.
        """
        if self._limits.max_tokens is None and self._limits.max_cost_usd is None:
            return sampling, n, None
        affordable: list[tuple[int, Outcome]] = []
        tokens_left = self._tokens_left()
        if tokens_left is not None:
            affordable.append((tokens_left, Outcome.TOKEN_BUDGET))
        if self._limits.max_cost_usd is not None:
            left_usd = self._limits.max_cost_usd - self._account.spent_usd
            if price.output > 0:
                affordable.append((int(left_usd * 1_000_000 / price.output), Outcome.MONEY_BUDGET))
            elif left_usd <= 0:
                affordable.append((0, Outcome.MONEY_BUDGET))
        tokens, outcome = min(affordable, default=(sampling.max_tokens, None), key=lambda pair: pair[0])
        if tokens <= 0:
            assert outcome is not None
            raise self.end(outcome, "nothing is left")
        if outcome is None:
            return sampling, n, None
        if tokens >= sampling.max_tokens:
            return sampling, min(n, tokens // sampling.max_tokens), None
        return replace(sampling, max_tokens=tokens), 1, outcome

    def end(self, outcome: Outcome, why: str) -> BudgetExceeded:
        """The error that ends the problem by a budget."""
        self.exceeded = outcome
        return BudgetExceeded(f"the problem's {outcome}: {why}. Raise the limit to continue.")

    def is_ample(self, samplings: Iterable[Sampling], steps_left: int, lookahead: int) -> bool:
        """Whether no budget can bind, however long the drafts are.

        Assumes the worst case: each step's `lookahead` speculative drafts are all discarded. A money budget can always
        bind, since nothing bounds what a call reads.
        """
        if self._limits.max_cost_usd is not None:
            return False
        tokens_left = self._tokens_left()
        if tokens_left is None:
            return True
        call_tokens = (self._limits.retries + 1) * sum(sampling.max_tokens for sampling in samplings)
        return tokens_left >= _CALLS_PER_STEP * (1 + lookahead) * call_tokens * steps_left

    def _tokens_left(self) -> int | None:
        if self._limits.max_tokens is None:
            return None
        return max(0, self._limits.max_tokens - self._account.output_tokens)
