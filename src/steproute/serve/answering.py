"""One request being answered: reserve, work, settle, keep the trace, in a task of its own.

The task outlives the client's connection for as long as it takes to bill what was used, so a client that leaves cannot
leave a call unbilled or a reservation open.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, Protocol

from steproute.config.gateway import ServeSettings
from steproute.core.chat import ChatDelta
from steproute.core.errors import StorageError
from steproute.core.events import Billed, Event, Finished
from steproute.core.problem import Message
from steproute.core.trace import Trace
from steproute.core.usage import Price
from steproute.serve.baseline import baseline_usd
from steproute.serve.billing import Billing
from steproute.serve.errors import interrupted
from steproute.serve.redaction import without_texts
from steproute.store import Principal, Store

_LOG: Final = logging.getLogger("steproute.serve")
Happening = Event | ChatDelta
"""What happens while a request is answered: the engine's events, or the pieces of a reply that is passed through."""


class Work(Protocol):
    """What a request asks for, and the most that it may use."""

    @property
    def trace_id(self) -> str:
        """The answer's id, for the client, the ledger and the trace."""
        ...

    @property
    def route(self) -> str:
        """The route's full name, as traces carry it."""
        ...

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        ...

    @property
    def prices(self) -> Mapping[str, Price]:
        """What each role's calls are billed at."""
        ...

    @property
    def most_usd(self) -> Decimal:
        """What it reserves; it makes no call that could pass it."""
        ...

    @property
    def most_tokens(self) -> int:
        """Generated tokens that it reserves."""
        ...

    async def run(self, emit: Callable[[Happening], None]) -> Trace:
        """Do it. Each call is emitted as Billed, and the end as Finished, even if it is cancelled."""
        ...


class Answer:
    """The answer to one request, under way. `cancel` stops its calls, which are billed.

    route: the gateway's, by which the ledger sums up. note: for the trace, why it is answered in the way it is. alone:
    the role and the price of the model that would answer without routing.
    """

    def __init__(
        self,
        work: Work,
        principal: Principal,
        store: Store,
        *,
        route: str,
        settings: ServeSettings,
        note: str,
        alone: tuple[str, Price],
        on_event: Callable[[Happening], None],
    ) -> None:
        self._work, self._principal, self._store = work, principal, store
        self._route, self._settings, self._note, self._alone = route, settings, note, alone
        self._on_event = on_event
        self._happenings: asyncio.Queue[Happening | None] = asyncio.Queue()
        self._trace: Trace | None = None
        self._admitted = asyncio.Event()
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(lambda _: self._happenings.put_nowait(None))

    async def admitted(self) -> None:
        """Return once the request has its reservation. Raises BudgetRefused and StorageError; then nothing was sent."""
        waiting = asyncio.ensure_future(self._admitted.wait())
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            waiting.cancel()
        if not self._admitted.is_set():
            self._result()

    async def happenings(self) -> AsyncGenerator[Happening, None]:
        """What happens, Finished as the last one. Raises what is no outcome of an answer."""
        while (happening := await self._happenings.get()) is not None:
            yield happening
        yield Finished(self._result())

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.task.cancel()

    def _result(self) -> Trace:
        if self.task.cancelled():
            raise interrupted()
        return self.task.result()

    async def _run(self) -> Trace:
        work = self._work
        reservation = await self._store.ledger.reserve(
            self._principal,
            request_id=work.trace_id,
            route=self._route,
            usd=work.most_usd,
            tokens=work.most_tokens,
            prices=work.prices,
        )
        self._admitted.set()
        async with Billing(reservation, on_lost=self.cancel, at_end=self._keep_trace) as billing:
            return await work.run(lambda happening: self._emit(happening, billing))

    def _emit(self, happening: Happening, billing: Billing) -> None:
        if isinstance(happening, Billed):
            billing.enter(happening.line)
        if isinstance(happening, Finished):
            trace = happening.trace
            self._trace = replace(trace, notes=(self._note, *trace.notes)) if self._note else trace
            billing.finish(trace.account, baseline_usd(trace, *self._alone))
        else:
            self._happenings.put_nowait(happening)
        self._on_event(happening)  # last, so that a fault of a watcher leaves no call unbilled

    async def _keep_trace(self) -> None:
        """A trace that cannot be kept is no reason to fail: the ledger has its lines."""
        if self._trace is None:
            return
        try:
            trace = self._trace if self._settings.keep_texts else without_texts(self._trace)
            messages = self._work.messages if self._settings.keeps_prompts else None
            await self._store.traces.keep(self._work.trace_id, self._principal.tenant, trace, messages)
        except StorageError as failure:
            _LOG.error("%s: the trace could not be kept: %s", self._work.trace_id, failure)
