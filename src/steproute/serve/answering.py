"""One request being answered: reserve, solve, settle, keep the trace, in a task of its own.

The task outlives the client's connection for as long as it takes to bill what was used, so a client that leaves cannot
leave a call unbilled or a reservation open.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from steproute.core.errors import SpendingLimitReached, StorageError
from steproute.core.events import Billed, Event, Finished
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.spending import SpendingLimit, limited
from steproute.serve.billing import Billing
from steproute.serve.errors import interrupted
from steproute.store import Principal, Store

_LOG: Final = logging.getLogger("steproute.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a request asks for, and the most that it may use.

    most_usd: what it reserves; no call is made that could pass it. most_tokens: generated tokens that it reserves.
    """

    problem: Problem
    route: str
    strategy: Strategy[Episode]
    roles: Roles
    limits: Limits
    most_usd: Decimal
    most_tokens: int
    seed: int = 0


class Answer:
    """The events of one request's solution. `cancel` stops its calls, which are billed."""

    def __init__(
        self, work: Work, principal: Principal, store: Store, *, keep_prompts: bool, on_event: Callable[[Event], None]
    ) -> None:
        self._work, self._principal, self._store = work, principal, store
        self._keep_prompts, self._on_event = keep_prompts, on_event
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._trace: Trace | None = None
        self._admitted = asyncio.Event()
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(lambda _: self._events.put_nowait(None))

    async def admitted(self) -> None:
        """Return once the request has its reservation. Raises BudgetRefused and StorageError; then nothing was sent."""
        waiting = asyncio.ensure_future(self._admitted.wait())
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._admitted.is_set():
            self.task.result()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, Finished as the last one. Raises what is no outcome of a solution."""
        while (event := await self._events.get()) is not None:
            yield event
        yield Finished(self.result())

    def result(self) -> Trace:
        """How it ended. Raises ApiError if it was cancelled before."""
        if self.task.cancelled():
            raise interrupted()
        return self.task.result()

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.task.cancel()

    async def _run(self) -> Trace:
        work, models = self._work, self._work.roles.models
        reservation = await self._store.ledger.reserve(
            self._principal,
            request_id=work.problem.id,
            route=work.route,
            usd=work.most_usd,
            tokens=work.most_tokens,
            prices={role: model.price for role, model in models.items()},
        )
        self._admitted.set()
        try:
            async with Billing(reservation, on_lost=self.cancel) as billing:
                return await self._solved(billing)
        finally:
            await self._keep_trace()

    async def _solved(self, billing: Billing) -> Trace:
        def keep(event: Event) -> None:
            self._on_event(event)
            if isinstance(event, Billed):
                billing.enter(event.line)
            if isinstance(event, Finished):
                self._trace = event.trace
                billing.finish(event.trace.account)
            else:
                self._events.put_nowait(event)

        work = self._work
        roles = limited(work.roles, SpendingLimit(work.most_usd or None))
        episode = Episode(work.problem, roles, route=work.route, limits=work.limits, seed=work.seed, on_event=keep)
        try:
            return await episode.run(work.strategy)
        except SpendingLimitReached:
            assert self._trace is not None
            self._trace = replace(self._trace, outcome=Outcome.MONEY_BUDGET)
            return self._trace

    async def _keep_trace(self) -> None:
        """A trace that cannot be kept is no reason to fail: the ledger has its lines."""
        if self._trace is None:
            return
        try:
            messages = self._work.problem.messages if self._keep_prompts else None
            await self._store.traces.keep(self._work.problem.id, self._principal.tenant, self._trace, messages)
        except StorageError as failure:
            _LOG.error("%s: the trace could not be kept: %s", self._work.problem.id, failure)
