"""The measured baseline: a sample of requests is also asked of the passthrough model alone. The operator pays."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from steproute.core.errors import SteprouteError
from steproute.core.events import Billed, Finished
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Purpose
from steproute.serve.answering import Answer, Happening, Work
from steproute.serve.billing import Billing
from steproute.store import Principal, Store

_LOG: Final = logging.getLogger("steproute.serve")
BASELINE: Final = Principal(tenant="baseline", key_id="", limits_usd=True, limits_tokens=True)
"""The tenant that pays. Its budgets are the most that measuring may cost."""
AT_ONCE: Final = 32
"""Further requests are not sampled, so that measuring never crowds out answers."""


class Measurement:
    """One request of the sample. route: the gateway's, which the lines carry."""

    def __init__(
        self, alone: Work, role: str, store: Store, *, route: str, on_event: Callable[[Happening], None]
    ) -> None:
        self._alone, self._role, self._store = alone, role, store
        self._route, self._on_event = route, on_event

    async def run(self, answer: Answer, request_id: str) -> None:
        """Wait for the answer, ask the model alone, and enter what that cost; nothing if either fails."""
        await asyncio.wait({answer.task})
        if answer.task.cancelled() or answer.task.exception() is not None or answer.task.result().failed:
            return
        trace = answer.task.result()
        try:
            alone = trace if {line.role for line in trace.account} == {self._role} else await self._asked()
            if not alone.failed:
                await self._store.baselines.keep(request_id, alone.cost_usd)
        except SteprouteError as failure:
            _LOG.warning("%s: what the model alone costs was not measured: %s", request_id, failure)

    async def _asked(self) -> Trace:
        work, asking = self._alone, asyncio.current_task()
        reservation = await self._store.ledger.reserve(
            BASELINE,
            request_id=work.trace_id,
            route=self._route,
            usd=work.most_usd,
            tokens=work.most_tokens,
            prices=work.prices,
        )

        def stop() -> None:
            if asking is not None:
                asking.cancel()

        async with Billing(reservation, on_lost=stop, at_end=_nothing) as billing:
            return await work.run(lambda happening: self._emit(happening, billing))

    def _emit(self, happening: Happening, billing: Billing) -> None:
        if isinstance(happening, Billed):
            billing.enter(_baseline(happening.line))
            self._on_event(Billed(_baseline(happening.line)))
        elif isinstance(happening, Finished):
            billing.finish([_baseline(line) for line in happening.trace.account], Decimal(0))


def _baseline(line: AccountLine) -> AccountLine:
    return replace(line, purpose=Purpose.BASELINE)


async def _nothing() -> None:
    """No trace is kept: the conversation is another tenant's."""
