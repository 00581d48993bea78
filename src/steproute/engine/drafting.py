"""Drafts of the models: each with its own seed, within the budget and on the account."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from steproute.core.errors import TooFewTokens
from steproute.core.events import Drafted, Event
from steproute.core.ports import Repair
from steproute.core.replies import sound_draft
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Step, Stop
from steproute.core.usage import Purpose
from steproute.engine.account import Account
from steproute.engine.budget import Budget
from steproute.engine.metering import Bill, Blame, MeteredCalls
from steproute.engine.roles import ModelRole, Roles

Place: TypeAlias = tuple[str, tuple[str, ...]]
"""A role and the texts of the steps from which it writes."""


@dataclass(slots=True)
class Trial:
    """What a speculative draft has taken and written so far: undone if nobody needs it."""

    places: list[Place] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)


class Drafting:
    """Asks the models of an episode for drafts and bills them."""

    def __init__(
        self,
        roles: Roles,
        seed: int,
        calls: MeteredCalls,
        account: Account,
        budget: Budget,
        emit: Callable[[Event], None],
    ) -> None:
        self._roles, self._seed, self._emit = roles, seed, emit
        self._calls, self._account, self._budget = calls, account, budget
        self._attempts: Counter[Place] = Counter()
        self._count = 0
        self._shortened: dict[int, Outcome] = {}

    async def draft(
        self,
        role: str,
        prefix: Prefix,
        *,
        to_end: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        trial: Trial | None = None,
    ) -> Draft:
        """The role's draft. A degenerate one is continued once, and the continuation takes its place.

        temperature, max_tokens: instead of the role's. trial: of a speculative draft, which is written only if the
        backend has a free slot. Raises BudgetExceeded, ConfigError and BackendError.
        """
        own = self._roles.model(role).sampling
        wanted = replace(
            own,
            stop=None if to_end else prefix.separator,
            temperature=own.temperature if temperature is None else temperature,
            max_tokens=own.max_tokens if max_tokens is None else max_tokens,
        )
        with Blame(role):
            draft = await self._one(role, prefix, wanted, trial)
            if draft.degenerate and draft.stop is Stop.SEPARATOR:
                further = prefix.extended(Step(role=role, text=draft.text, tokens=0)).advised(prefix.advice)
                draft = await self._one(role, further, wanted, trial)
        return draft

    def budget_of(self, draft: Draft) -> Outcome | None:
        """The budget that shortened the draft, if one did."""
        return self._shortened.get(draft.id)

    def release(self, trial: Trial) -> None:
        """Let later drafts have the seeds of a trial that nobody needs."""
        self._attempts.subtract(trial.places)

    async def _one(self, role: str, prefix: Prefix, wanted: Sampling, trial: Trial | None) -> Draft:
        model = self._roles.model(role)
        sampling = replace(wanted, seed=self._next_seed(role, prefix, trial))
        self._budget.clamp(role, model, prefix, sampling, waits=trial is None)
        bill = Bill(role=role, model=model.model.name, price=model.price)
        returned, budget = await self._written(model, prefix, sampling, bill, is_speculative=trial is not None)
        self._count += 1
        draft = replace(returned, id=self._count, role=role)
        for call in draft.sent_back:
            self._account.enter(bill.line(Purpose.RETRY, call.usage, call.latency_s, call.request_id))
        line = bill.line(Purpose.DISCARDED, draft.usage, draft.latency_s, draft.request_id)
        self._account.enter(line, draft.id)
        if budget is not None:
            self._shortened[draft.id] = budget
        draft = _repaired(sound_draft(draft, model.model.name), prefix, model.repair)
        if trial is None:
            self._emit(Drafted(draft))
        else:
            trial.drafts.append(draft)
        return draft

    async def _written(
        self, model: ModelRole, prefix: Prefix, wanted: Sampling, bill: Bill, *, is_speculative: bool
    ) -> tuple[Draft, Outcome | None]:
        """What the model returns, and the budget that shortened it, if one did."""
        budget: Outcome | None = None

        async def write(meter: Meter) -> list[Draft]:
            nonlocal budget
            async with self._budget.writing(bill.role, model, prefix, wanted, meter) as call:  # each try costs
                budget = call.outcome
                call.drafts = await model.model.propose(prefix, 1, call.sampling, meter)
            return call.drafts

        try:
            (draft,) = await self._calls.make(bill, model.limiter, write, speculative=is_speculative)
        except TooFewTokens as failure:
            if budget is None:
                raise
            raise self._budget.end(budget, str(failure)) from None
        return draft, budget

    def _next_seed(self, role: str, prefix: Prefix, trial: Trial | None) -> int:
        place = (role, prefix.texts)
        self._attempts[place] += 1
        if trial is not None:
            trial.places.append(place)
        return call_seed(self._seed, prefix.problem.id, role, len(prefix.steps), self._attempts[place])


def call_seed(seed: int, problem_id: str, role: str, step: int, attempt: int) -> int:
    """The seed of one call: not the route's, so that routes share their random numbers. `attempt` counts from 1."""
    parts = seed, problem_id, role, step, attempt
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def _repaired(draft: Draft, prefix: Prefix, repair: Repair | None) -> Draft:
    """The draft as the role's repair, if it has one, corrects it; what the model generated is billed as it was."""
    text = None if repair is None or draft.degenerate else repair.repaired(prefix, draft.text)
    return draft if text is None or text == draft.text else replace(draft, text=text, repaired_from=draft.text)
