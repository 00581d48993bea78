"""A request's reservation while its calls are billed: each line goes to the ledger as soon as it is entered."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from steproute.core.errors import StorageError
from steproute.core.usage import AccountLine
from steproute.store import Reservation, ReservationLost

_LOG: Final = logging.getLogger("steproute.serve")
_EXTEND_S: Final = 30.0
"""How often a request that goes on says so, so that its reservation does not expire."""
_CLOSING_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class Billing:
    """Settles lines in the background, extends the reservation, and closes it when the request has ended.

    If the ledger cannot be written meanwhile, the reservation holds the money, and closing settles what is missing.
    on_lost: called if the reservation has expired, as after a long sleep of the machine: no further call may be made.
    """

    def __init__(self, reservation: Reservation, on_lost: Callable[[], None]) -> None:
        self._reservation, self._on_lost = reservation, on_lost
        self._lines: asyncio.Queue[AccountLine | None] = asyncio.Queue()
        self._account: Sequence[AccountLine] = ()

    def enter(self, line: AccountLine) -> None:
        """A call was billed."""
        self._lines.put_nowait(line)

    def finish(self, account: Sequence[AccountLine]) -> None:
        """The request has ended, and these are its lines, with what became of each call."""
        self._account = account

    async def __aenter__(self) -> Self:
        self._settling = asyncio.create_task(self._settle())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.put_nowait(None)
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _settle(self) -> None:
        """Until None comes."""
        lines: list[AccountLine | None] = []
        while None not in lines:
            try:
                lines = [await asyncio.wait_for(self._lines.get(), _EXTEND_S)]
            except TimeoutError:
                await self._extend()
                continue
            while not self._lines.empty():
                lines.append(self._lines.get_nowait())
            with suppress(StorageError):
                await self._reservation.settle([line for line in lines if line is not None])

    async def _extend(self) -> None:
        try:
            await self._reservation.extend()
        except ReservationLost:
            self._on_lost()
        except StorageError:
            pass  # the next time will do, and if none does, the lease ends

    async def _close(self) -> None:
        await self._settling
        for pause in (*_CLOSING_PAUSES_S, None):
            try:
                return await self._reservation.close(self._account)
            except StorageError as failure:
                if pause is None:
                    _LOG.error("%s: the ledger could not be written: %s", self._reservation.request_id, failure)
                    return
                await asyncio.sleep(pause)
