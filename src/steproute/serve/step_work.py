"""A request that is answered step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from steproute.core.errors import SpendingLimitReached, TokenLimitReached
from steproute.core.events import Event, Finished
from steproute.core.ports import Strategy
from steproute.core.problem import Message, Problem
from steproute.core.solution import Outcome, Prefix
from steproute.core.trace import Trace
from steproute.core.usage import Price
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.spending import SpendingLimit, limited, limited_scorers, most_judged
from steproute.serve.answering import Happening

_LESS_THAN_ANY_CALL: Final = Decimal("1e-12")
"""The limit of a request that reserves nothing: only free calls are within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWork:
    """A problem and the strategy that solves it. See Work."""

    problem: Problem
    route: str
    strategy: Strategy[Episode]
    roles: Roles
    limits: Limits
    most_usd: Decimal
    seed: int = 0

    @property
    def trace_id(self) -> str:
        """The problem's id."""
        return self.problem.id

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        return self.problem.messages

    @property
    def prices(self) -> Mapping[str, Price]:
        """Of all models, and of the scorers whose names no model has."""
        return prices_of(self.roles)

    @property
    def most_tokens(self) -> int:
        """The limit of generated tokens with what scorers may generate beside it, 0 if there is none."""
        return 0 if self.limits.max_tokens is None else self.limits.max_tokens + self._judge_tokens

    @property
    def _judge_tokens(self) -> int:
        """What all scorers together may generate: a judgement of each model's draft of each step, and of each try.

        That is at most as much as the models may, and at least one judgement.
        """
        most, limits = most_judged(self.roles, Prefix(problem=self.problem)), self.limits
        all_steps = most * limits.max_steps * len(self.roles.models) * (1 + limits.retries)
        return min(all_steps, max(limits.max_tokens or all_steps, most))

    async def run(self, emit: Callable[[Happening], None]) -> Trace:
        """Solve it within what is reserved; a solution whose next call does not fit has run out of it."""

        def begin(on_event: Callable[[Event], None]) -> Episode:
            return Episode(
                self.problem,
                within(self.most_usd, self._bounded_roles),
                route=self.route,
                limits=self.limits,
                seed=self.seed,
                on_event=on_event,
            )

        return await solved(begin, self.strategy, emit)

    @property
    def _bounded_roles(self) -> Roles:
        """With the limit of what scorers generate, if tokens have one."""
        tokens = 0 if self.limits.max_tokens is None else self._judge_tokens
        return limited_scorers(self.roles, tokens) if tokens else self.roles


def within(most_usd: Decimal, roles: Roles) -> Roles:
    """The roles, whose calls together cost no more than what is reserved."""
    return limited(roles, SpendingLimit(most_usd or _LESS_THAN_ANY_CALL), shrinks=True)


async def solved(
    begin: Callable[[Callable[[Event], None]], Episode], strategy: Strategy[Episode], emit: Callable[[Event], None]
) -> Trace:
    """The trace of an episode, which `begin` makes for a listener; it is emitted with its true outcome."""
    ended: list[Trace] = []

    def pass_on(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(event.trace)
        else:
            emit(event)

    try:
        await begin(pass_on).run(strategy)
    except SpendingLimitReached as reached:
        outcome = Outcome.TOKEN_BUDGET if isinstance(reached, TokenLimitReached) else Outcome.MONEY_BUDGET
        ended = [replace(ended[-1], outcome=outcome)]
    finally:
        for trace in ended:
            emit(Finished(trace))
    return ended[-1]


def prices_of(roles: Roles) -> dict[str, Price]:
    """Of all models, and of the scorers whose names no model has."""
    scorers = {role: scorer.price for role, scorer in roles.scorers.items()}
    return scorers | {role: model.price for role, model in roles.models.items()}
