"""A chat request with its tries and its bill: what a gateway puts around a ChatModel."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Final

from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import CircuitOpen, SpendingLimitReached, TransientError
from steproute.core.ports import ChatModel
from steproute.core.solution import Meter, ModelCall
from steproute.core.usage import Purpose

Enter = Callable[[Purpose, ModelCall, float], None]
"""Bills a call: what became of it, what it used, and how many seconds it waited for its slot."""
Slot = Callable[[Meter], AbstractAsyncContextManager[None]]
_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0


def _no_wait(meter: Meter) -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def passed_through(
    model: ChatModel, request: ChatRequest, *, enter: Enter, retries: int = 0, slot: Slot = _no_wait
) -> AsyncGenerator[ChatDelta, None]:
    """The replies of `model`, tried again after failures that may pass, until a first delta is handed on.

    Every try holds a `slot` from its request to the end of its stream, and is billed by `enter` if it used anything: as
    accepted, as cancelled if this generator is closed before the last delta, and as retry if it failed. Raises what the
    last try raised, also if there is no money for a further one.
    """
    attempt, failed = 0, None
    while True:
        single = _Try(enter)
        try:
            async with slot(single.meter), aclosing(single.deltas(model, request)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        except SpendingLimitReached:
            if failed is None:
                raise
            raise failed from None
        except TransientError as failure:
            failed = failure
            used = failure.failed_probes if isinstance(failure, CircuitOpen) else attempt
            if single.handed_on or used >= retries:
                raise
            longest = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**attempt)
            pause_s = (failure.retry_after_s or 0.0) + longest * random.random()
            attempt += not isinstance(failure, CircuitOpen)
        await asyncio.sleep(pause_s)


class _Try:
    """One try and its bill."""

    def __init__(self, enter: Enter) -> None:
        self.meter, self.handed_on = Meter(), False
        self._enter = enter

    async def deltas(self, model: ChatModel, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        purpose, request_id, began = Purpose.CANCELLED, "", time.monotonic()
        try:
            async with aclosing(model.chat(request, self.meter)) as deltas:
                async for delta in deltas:
                    if delta.call is not None:
                        purpose, request_id = Purpose.ACCEPTED, delta.call.request_id
                    self.handed_on = True
                    yield delta
        except Exception:
            purpose = Purpose.RETRY
            raise
        finally:
            latency_s, wait_s = time.monotonic() - began, self.meter.total_wait_s
            for usage in self.meter.calls:
                self._enter(purpose, ModelCall(usage=usage, latency_s=latency_s, request_id=request_id), wait_s)
                latency_s = wait_s = 0.0  # one time for all of them
