"""Drafts ahead under a token budget: however much they waste, the solution is the one without them."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steproute.core.errors import BackendUnavailable, BudgetExceeded
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Price, Purpose, Usage
from steproute.engine.budget import Budget
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles
from steproute.simulation.virtual_time import run_virtually

STEPS, MOST = 3, 2


class Worst:
    """Takes all tokens that a call may have; what is needed fails as often as may be, and at first holds no letter."""

    def __init__(self, name: str, failures: int) -> None:
        self.name, self.generated = name, 0
        self._failures = self._left = failures

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        assert meter is not None
        self.generated += sampling.max_tokens
        meter.usage = Usage(output_tokens=sampling.max_tokens)
        await asyncio.sleep(0)
        if not meter.speculative and self._left:
            self._left -= 1
            raise BackendUnavailable("down")
        if not meter.speculative:
            self._left = self._failures
        whole = sampling.max_tokens == MOST
        text = self._step(prefix) if whole else "half"
        stop = Stop.SEPARATOR if whole else Stop.LENGTH
        return [Draft(model=self.name, text=text, stop=stop, usage=meter.usage)]

    def _step(self, prefix: Prefix) -> str:
        number = len(prefix.steps)
        if not prefix.text.endswith("---"):
            return "---"
        return "\\boxed{1}" if number == STEPS else f"step {number}"


@dataclass(frozen=True)
class Wasteful:
    """Strong replaces every step; before that both roles draft `lookahead` steps from it in vain, so many `times`."""

    lookahead: int
    times: int

    async def solve(self, episode: Episode) -> None:
        prefix = episode.start()
        while not prefix.finished:
            draft = await episode.propose("weak", prefix)
            for _ in range(self.times):
                for role in ("weak", "strong"):
                    episode.speculate(role, prefix, if_accepted=draft, steps=self.lookahead)
                await asyncio.sleep(1.0)
                for role in ("weak", "strong"):
                    await episode.cancel_speculation(role)
            prefix = await episode.accept(await episode.propose("strong", prefix))


def solve(strategy: Wasteful, max_tokens: int, retries: int) -> Trace:
    """The trace, whose lines hold every token that was generated, and no more than there may be."""
    models = {role: Worst(role, retries) for role in ("weak", "strong")}
    sampling = Sampling(max_tokens=MOST)
    roles = Roles(models={role: ModelRole(model=model, sampling=sampling) for role, model in models.items()})
    limits = Limits(max_steps=STEPS, max_tokens=max_tokens, retries=retries)
    trace = run_virtually(Episode(Problem.ask(id="p", text="?"), roles, route="t", limits=limits).run(strategy))
    for role, model in models.items():
        assert trace.generated_tokens(role) == model.generated
    assert sum(model.generated for model in models.values()) <= max_tokens
    return trace


@pytest.mark.parametrize(("lookahead", "retries", "times"), [(1, 0, 1), (2, 0, 1), (1, 3, 1), (1, 0, 40), (2, 1, 40)])
def test_whatever_the_token_budget_what_is_drafted_ahead_in_vain_changes_no_solution(
    lookahead: int, retries: int, times: int
) -> None:
    needed = 4 * MOST * (retries + 1) * STEPS  # a draft and its continuation by each role
    wasted = []
    for max_tokens in range(1, needed * (1 + lookahead) + 2 * MOST * (retries + 1) + 1):
        plain, trace = (solve(Wasteful(lookahead, many), max_tokens, retries) for many in (0, times))
        assert (trace.steps, trace.outcome) == (plain.steps, plain.outcome), f"with {max_tokens} tokens"
        assert (plain.outcome is Outcome.ANSWERED) == (max_tokens >= needed)
        wasted.append(sum(trace.generated_tokens(role, Purpose.CANCELLED) for role in ("weak", "strong")))
    assert wasted[-1] > 0, "where no budget can bind, steps are drafted ahead"


MONEY = st.decimals(Decimal("0.000001"), Decimal(2), places=9)
READ = 7


class Bounded:
    """Reads READ tokens, and writes what it may."""

    name = "bounded"

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        return Usage(input_tokens=READ, output_tokens=sampling.max_tokens)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        raise AssertionError("it is only asked what it may use")


@given(budget=MONEY, input_price=MONEY, output_price=st.decimals(Decimal("0.01"), Decimal(100), places=4))
@example(budget=Decimal("0.000003"), input_price=Decimal(0), output_price=Decimal(1))
def test_a_money_budget_pays_every_token_it_allows_and_not_one_more(
    budget: Decimal, input_price: Decimal, output_price: Decimal
) -> None:
    price, asked = Price(input=input_price, output=output_price), Sampling(max_tokens=100_000_000)
    prefix, role = Prefix(problem=Problem.ask("?")), ModelRole(model=Bounded(), price=price)
    try:
        clamped, _, outcome = Budget(Limits(max_cost_usd=budget)).clamp("weak", role, prefix, asked)
    except BudgetExceeded:
        tokens = 0
    else:
        tokens = clamped.max_tokens
        assert (outcome is None) == (tokens == asked.max_tokens)
    assert tokens == 0 or price.cost(Usage(input_tokens=READ, output_tokens=tokens)) <= budget
    more = Usage(input_tokens=READ, output_tokens=tokens + 1)
    assert tokens == asked.max_tokens or price.cost(more) > budget
