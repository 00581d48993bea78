"""A request's reservation while its calls are billed: each line goes to the ledger within a fraction of a second."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Final, Self

from steproute.core.errors import ConfigError, StorageError
from steproute.core.usage import AccountLine
from steproute.store import Reservation, ReservationLost

_LOG: Final = logging.getLogger("steproute.serve")
_EXTENSIONS: Final = 4
"""How often per lease a request that goes on says so, so that its reservation does not expire."""
_TOGETHER_S: Final = 0.2
"""Lines that come within this time share a transaction; a killed worker leaves no more than that unaccounted."""
_CLOSING_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class Billing:
    """Settles lines in the background, extends the reservation, and closes it when the request has ended.

    If the ledger cannot be written meanwhile, the reservation holds the money, and closing settles what is missing.
    on_lost: called when the lease ends without having been extended, or the reservation was released, as after a long
    sleep of the machine: calls under way must end, and no further one may be made. at_end: what to write beside the
    closing, in the same transaction if that succeeds at once.
    """

    def __init__(
        self,
        reservation: Reservation,
        *,
        on_lost: Callable[[], None],
        at_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._reservation, self._on_lost, self._at_end = reservation, on_lost, at_end
        self._lines: asyncio.Queue[AccountLine | None] = asyncio.Queue()
        self._entered, self._is_over = 0, False
        self._account: Sequence[AccountLine] = ()
        self._baseline_usd = Decimal(0)

    def enter(self, line: AccountLine) -> None:
        """A call was billed."""
        self._entered += 1
        self._lines.put_nowait(line)

    def finish(self, account: Sequence[AccountLine], baseline_usd: Decimal) -> None:
        """The request has ended: its lines, with what became of each call, and its price without routing."""
        self._account, self._baseline_usd = account, baseline_usd

    async def __aenter__(self) -> Self:
        self._settling = asyncio.create_task(self._settle())
        self._lease: asyncio.Handle = asyncio.get_running_loop().call_soon(self._watch_lease)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. The request is not over before that, however often it is cancelled meanwhile."""
        self._is_over = True
        self._lease.cancel()
        self._lines.put_nowait(None)
        ending, cancelled = asyncio.create_task(self._end()), None
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError as interruption:
                cancelled = interruption
        if cancelled is not None:
            raise cancelled
        ending.result()

    def _watch_lease(self) -> None:
        """By the clock alone: a database that is out of reach may let an extension wait for as long as it likes."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._reservation.lease_ends_s:
            return self._lose()
        self._lease = loop.call_at(self._reservation.lease_ends_s, self._watch_lease)

    async def _settle(self) -> None:
        """Until None comes. Lines that keep coming do not put off the extensions."""
        now = asyncio.get_running_loop().time
        every_s = self._reservation.lease_s / _EXTENSIONS
        extend_at = now() + every_s
        lines: list[AccountLine | None] = []
        while None not in lines:
            if now() >= extend_at:
                await self._tried(self._reservation.extend())
                extend_at = now() + every_s
            lines = await self._more([], until=extend_at, most=1)
            lines = await self._more(lines, until=min(extend_at, now() + _TOGETHER_S))
            if None in lines and len(self._account) >= self._entered:
                return  # closing enters the whole account
            if entered := [line for line in lines if line is not None]:
                with suppress(ConfigError):  # of a line that the ledger cannot hold: closing logs it
                    await self._tried(self._reservation.settle(entered))

    async def _more(
        self, lines: list[AccountLine | None], *, until: float, most: float = math.inf
    ) -> list[AccountLine | None]:
        """Add the lines that come by then, or before None."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while None not in lines and len(lines) < most:
                    lines.append(await self._lines.get())
        return lines

    def _lose(self) -> None:
        if not self._is_over:
            self._on_lost()

    async def _tried(self, writing: Awaitable[None]) -> None:
        """What a ledger out of reach did not take, closing enters."""
        try:
            await writing
        except ReservationLost:
            self._lose()
        except StorageError:
            pass

    async def _end(self) -> None:
        await self._settling
        await asyncio.gather(self._close(), self._at_end())

    async def _close(self) -> None:
        for pause in (*_CLOSING_PAUSES_S, None):
            try:
                return await self._reservation.close(self._account, baseline_usd=self._baseline_usd)
            except ConfigError as failure:
                return _LOG.error("%s: a call is not on the ledger: %s", self._reservation.request_id, failure)
            except ReservationLost as lost:
                return _LOG.error("%s", lost)
            except StorageError as failure:
                if pause is None:
                    _LOG.error("%s: the ledger could not be written: %s", self._reservation.request_id, failure)
                    return
                await asyncio.sleep(pause)
