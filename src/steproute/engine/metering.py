"""Calls to backends on a problem's account: each with its slot at the limiter, its retries and its bill."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from steproute.core.errors import BackendError, CircuitOpen, ScorerError, TransientError
from steproute.core.solution import Meter
from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.engine.account import Account
from steproute.engine.limiter import Limiter, slot_at

_T = TypeVar("_T")
_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0


@dataclass(slots=True, kw_only=True)
class Bill:
    """The role that a call is billed to. wait_s: how long its last try waited, which is put on the next line only."""

    role: str
    model: str
    price: Price
    wait_s: float = 0.0

    def line(self, purpose: Purpose, usage: Usage, latency_s: float, request_id: str = "") -> AccountLine:
        """A call's account line."""
        wait_s, self.wait_s = self.wait_s, 0.0
        return AccountLine(
            role=self.role,
            model=self.model,
            purpose=purpose,
            usage=usage,
            cost_usd=self.price.cost(usage),
            price_table=self.price.table,
            latency_s=latency_s,
            request_id=request_id,
            wait_s=wait_s,
        )


class MeteredCalls:
    """Makes and retries a problem's calls, and bills those that do not return."""

    def __init__(self, account: Account, retries: int) -> None:
        self._account, self._retries = account, retries

    async def make(
        self, bill: Bill, limiter: Limiter | None, call: Callable[[Meter], Awaitable[_T]], *, speculative: bool = False
    ) -> _T:
        """Await a call. A failure that may pass is retried; what a call used that did not return is billed.

        Between tries it waits as long as the backend asks, plus a random part of a time that doubles, so that calls
        that failed together do not return together. A speculative call runs only if a slot is free and is never
        retried. A call that an open circuit refuses is not made, so it is no try: it waits for as many probes as it has
        retries. Raises the last try's error.
        """
        retries = 0 if speculative else self._retries
        attempt = 0
        while True:
            meter, began = Meter(speculative=speculative), now()
            try:
                async with slot_at(limiter, meter):
                    began = now()
                    result = await call(meter)
                bill.wait_s = meter.total_wait_s
                return result
            except asyncio.CancelledError:
                self._enter(bill, Purpose.CANCELLED, meter, began)
                raise
            except (BackendError, ScorerError) as failure:
                self._enter(bill, Purpose.RETRY, meter, began)
                used = failure.failed_probes if isinstance(failure, CircuitOpen) else attempt
                if not isinstance(failure, TransientError) or used >= retries:
                    raise
                longest = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**attempt)
                pause = (failure.retry_after_s or 0.0) + longest * random.random()
                attempt += not isinstance(failure, CircuitOpen)
            except BaseException:
                self._enter(bill, Purpose.RETRY, meter, began)
                raise
            await asyncio.sleep(pause)

    def _enter(self, bill: Bill, purpose: Purpose, meter: Meter, began: float) -> None:
        bill.wait_s, seconds = meter.total_wait_s, now() - began
        for usage in meter.calls:
            self._account.enter(bill.line(purpose, usage, seconds))
            seconds = 0.0  # one time for all of them


class Blame:
    """Puts the role on the errors of its model or scorer; of an ensemble, the member that failed."""

    __slots__ = ("_role",)

    def __init__(self, role: str) -> None:
        self._role = role

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, traceback: object) -> None:
        if isinstance(failure, BackendError | ScorerError):
            failure.role = failure.role or self._role


def now() -> float:
    """Seconds on the running loop's clock, which is virtual in a simulation."""
    return asyncio.get_running_loop().time()
