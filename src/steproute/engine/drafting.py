"""Drafts of the models: each with its own seed, within the budget and on the account."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from steproute.core.errors import BackendError, BudgetExceeded, TooFewTokens
from steproute.core.events import Drafted, Event
from steproute.core.ports import CAPABILITIES, Repair
from steproute.core.replies import sound_draft
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Step, Stop
from steproute.core.usage import Purpose
from steproute.engine.account import Account
from steproute.engine.budget import Budget
from steproute.engine.metering import Bill, Blame, MeteredCalls
from steproute.engine.roles import ModelRole, Roles

Place: TypeAlias = tuple[str, tuple[str, ...], int]
"""A role, the texts of the steps from which it writes, and its token limit: a probe of one token has the seed of the
step that it begins."""


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
        """The role's draft; see `drafts`.

        max_tokens: instead of the role's. trial: of a speculative draft, which is written only if the backend has a
        free slot.
        """
        wanted = self._wanted(role, prefix, to_end, temperature, max_tokens)
        with Blame(role):
            (draft,) = await self._several(role, prefix, 1, wanted, trial)
            return await self._continued(draft, prefix, wanted, trial)

    async def drafts(
        self, role: str, prefix: Prefix, n: int, *, to_end: bool = False, temperature: float | None = None
    ) -> list[Draft]:
        """`n` drafts of the role from one prefix; fewer, but at least one, if a budget cannot pay for all in full.

        They share one seed: the first m of n are those that a call for m gives. A degenerate draft is continued once,
        and the continuation takes its place; if no budget pays for that, the draft is left out, unless all are
        degenerate. temperature: instead of the role's. Raises BudgetExceeded, ConfigError and
        BackendError.
        """
        wanted = self._wanted(role, prefix, to_end, temperature, None)
        with Blame(role):
            drafts, usable = await self._several(role, prefix, n, wanted, None), []
            for left, draft in zip(reversed(range(len(drafts))), drafts, strict=True):
                try:
                    usable.append(await self._continued(draft, prefix, wanted, None))
                except BudgetExceeded:
                    if not usable and left == 0:
                        raise
            return usable

    def budget_of(self, draft: Draft) -> Outcome | None:
        """The budget that shortened the draft, if one did."""
        return self._shortened.get(draft.id)

    def release(self, trial: Trial) -> None:
        """Let later drafts have the seeds of a trial that nobody needs."""
        self._attempts.subtract(trial.places)

    def _wanted(
        self, role: str, prefix: Prefix, to_end: bool, temperature: float | None, max_tokens: int | None
    ) -> Sampling:
        own = self._roles.model(role).sampling
        return replace(
            own,
            stop=None if to_end else prefix.separator,
            temperature=own.temperature if temperature is None else temperature,
            max_tokens=own.max_tokens if max_tokens is None else max_tokens,
        )

    async def _continued(self, draft: Draft, prefix: Prefix, wanted: Sampling, trial: Trial | None) -> Draft:
        """The draft, or what follows a degenerate one."""
        if not (draft.degenerate and draft.stop is Stop.SEPARATOR):
            return draft
        further = prefix.extended(Step(role=draft.role, text=draft.text, tokens=0)).advised(prefix.advice)
        (continuation,) = await self._several(draft.role, further, 1, wanted, trial)
        return continuation

    async def _several(self, role: str, prefix: Prefix, n: int, wanted: Sampling, trial: Trial | None) -> list[Draft]:
        """Drafts of one seed, in one call if the model can write several."""
        model = self._roles.model(role)
        sampling = replace(wanted, seed=self._next_seed(role, prefix, wanted.max_tokens, trial))
        _, n, _ = self._budget.clamp(role, model, prefix, sampling, n, waits=trial is None)
        if n == 1 or CAPABILITIES.of(model.model).several:
            return await self._call(role, prefix, n, sampling, trial)
        seeds = (replace(sampling, seed=sampling.seed + index) for index in range(n))
        if self._budget.is_ample({role: sampling}, n, 0):
            calls = (self._call(role, prefix, 1, each, trial) for each in seeds)
            return [draft for (draft,) in await self._account.at_once(*calls)]
        drafts: list[Draft] = []
        for each in seeds:
            if drafts and self._budget.binding(role, model, prefix, each) is not None:  # after tries that failed
                break
            drafts += await self._call(role, prefix, 1, each, trial)
        return drafts

    async def _call(self, role: str, prefix: Prefix, n: int, sampling: Sampling, trial: Trial | None) -> list[Draft]:
        """The drafts of one call, each with a line on the account; the first line has the call's time."""
        model = self._roles.model(role)
        bill = Bill(role=role, model=model.model.name, price=model.price)
        returned, budget = await self._written(model, prefix, n, sampling, bill, is_speculative=trial is not None)
        latency_s, drafts = max(draft.latency_s for draft in returned), []
        for each in returned:
            self._count += 1
            drafts.append(replace(each, id=self._count, role=role))
            self._enter(drafts[-1], bill, latency_s)
            latency_s = 0.0
            if budget is not None:
                self._shortened[self._count] = budget
        return [self._checked(draft, prefix, model, trial) for draft in drafts]

    def _enter(self, draft: Draft, bill: Bill, latency_s: float) -> None:
        for call in draft.sent_back:
            self._account.enter(bill.line(Purpose.RETRY, call.usage, call.latency_s, call.request_id))
        line = bill.line(Purpose.DISCARDED, draft.usage, latency_s, draft.request_id)
        self._account.enter(line, draft.id)

    def _checked(self, draft: Draft, prefix: Prefix, model: ModelRole, trial: Trial | None) -> Draft:
        """The draft, sound and repaired, as the episode's listeners see it."""
        draft = _repaired(sound_draft(draft, model.model.name), prefix, model.repair)
        if trial is None:
            self._emit(Drafted(draft))
        else:
            trial.drafts.append(draft)
        return draft

    async def _written(
        self, model: ModelRole, prefix: Prefix, n: int, wanted: Sampling, bill: Bill, *, is_speculative: bool
    ) -> tuple[list[Draft], Outcome | None]:
        """What the model returns, and the budget that shortened it, if one did."""
        budget: Outcome | None = None

        async def write(meter: Meter) -> list[Draft]:
            nonlocal budget
            async with self._budget.writing(bill.role, model, prefix, n, wanted, meter) as call:  # each try costs
                budget = call.outcome
                drafts = await model.model.propose(prefix, call.n, call.sampling, meter)
                call.drafts = _all_returned(drafts, call.n, model.model.name)
            return call.drafts

        try:
            drafts = await self._calls.make(bill, model.limiter, write, speculative=is_speculative)
        except TooFewTokens as failure:
            if budget is None:
                raise
            raise self._budget.end(budget, str(failure)) from None
        return drafts, budget

    def _next_seed(self, role: str, prefix: Prefix, max_tokens: int, trial: Trial | None) -> int:
        place = (role, prefix.texts, max_tokens)
        self._attempts[place] += 1
        if trial is not None:
            trial.places.append(place)
        return call_seed(self._seed, prefix.problem.id, role, len(prefix.steps), self._attempts[place])


def _all_returned(drafts: list[Draft], n: int, model: str) -> list[Draft]:
    if len(drafts) != n:
        raise BackendError(
            f"it returned {len(drafts)} drafts instead of {n}.",
            where=model,
            remedy="Declare ModelCapabilities(several=False) if a call writes one draft.",
        )
    return drafts


def call_seed(seed: int, problem_id: str, role: str, step: int, attempt: int) -> int:
    """The seed of one call: not the route's, so that routes share their random numbers. `attempt` counts from 1."""
    parts = seed, problem_id, role, step, attempt
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def _repaired(draft: Draft, prefix: Prefix, repair: Repair | None) -> Draft:
    """The draft as the role's repair, if it has one, corrects it; what the model generated is billed as it was."""
    text = None if repair is None or draft.degenerate else repair.repaired(prefix, draft.text)
    return draft if text is None or text == draft.text else replace(draft, text=text, repaired_from=draft.text)
