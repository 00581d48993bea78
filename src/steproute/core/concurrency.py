"""Several calls at once that succeed or fail together, several in turn, and a lock per key."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

_T = TypeVar("_T")


async def gather_or_cancel(*calls: Coroutine[Any, Any, _T]) -> list[_T]:
    """All results, in order. The first failure cancels the other calls and is raised once they have ended.

    A cancellation that comes meanwhile goes before a failure. (A task group of Python 3.11 counts its own cancellation
    to its parent, where it would hide a later deadline's.)
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    cancelled: asyncio.CancelledError | None = None
    failed: BaseException | None = None
    stopping = False
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError as interruption:
            cancelled = interruption
        failed = failed or _failure(tasks)
        if not stopping and (cancelled or failed):
            stopping = True
            for task in pending:
                task.cancel()
    if cancelled is not None:
        raise cancelled
    if failed is not None:
        raise failed
    return [task.result() for task in tasks]


async def in_turn(*calls: Coroutine[Any, Any, _T]) -> list[_T]:
    """All results, of calls that are made one after the other; those after a failure are never made."""
    waiting = deque(calls)
    try:
        return [await waiting.popleft() for _ in calls]
    finally:
        for call in waiting:
            call.close()


async def map_concurrently(
    call: Callable[..., Coroutine[Any, Any, _T]], *arguments: Iterable[Any], in_flight: int
) -> list[_T]:
    """`map` for an async function: at most `in_flight` calls at once, results in order.

    Fails and is cancelled as `gather_or_cancel`.
    """
    slots = asyncio.Semaphore(in_flight)

    async def within_slot(*values: Any) -> _T:
        async with slots:
            return await call(*values)

    return await gather_or_cancel(*map(within_slot, *arguments))


def _failure(tasks: Iterable["asyncio.Task[Any]"]) -> BaseException | None:
    """Of those that have failed, each of which counts as seen."""
    failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return next(filter(None, failures), None)


@dataclass(slots=True)
class _Holders:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class KeyedLock:
    """One lock per key, kept only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._holders: dict[Hashable, _Holders] = {}

    def __len__(self) -> int:
        return len(self._holders)

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold the key alone, in the order of asking."""
        holders = self._holders.setdefault(key, _Holders())
        holders.users += 1
        try:
            async with holders.lock:
                yield
        finally:
            holders.users -= 1
            if not holders.users:
                del self._holders[key]
