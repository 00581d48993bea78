"""One writer per process. Operations that wait together are committed together and share one flush to disk."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from steproute.core.errors import SteprouteError, StorageError
from steproute.store.batch import Batch, load, save
from steproute.store.database import Database
from steproute.store.operations import Operation, release_orphans

_MOST_TOGETHER: Final = 256
_OWN_FAULT: Final = (DataError, IntegrityError)


class _Entry(NamedTuple):
    operation: Operation
    result: "asyncio.Future[Any]"


class Writer:
    """Applies operations in transactions, in the order in which they came.

    grace_s: how long a reservation is still held after its lease was seen to have ended.
    """

    def __init__(self, database: Database, grace_s: float) -> None:
        self._database, self._grace_ms = database, int(grace_s * 1000)
        self._queue: deque[_Entry] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="steproute ledger writer")

    def submit(self, operation: Operation) -> "asyncio.Future[Any]":
        """The result once it is on disk; StorageError if it may not be. Cancelling the future stops nothing."""
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closing:
            result.set_exception(StorageError("The store is closed.", where=self._database.where))
        else:
            self._queue.append(_Entry(operation, result))
            self._arrived.set()
        return result

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            entries = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_TOGETHER))]
            await self._write(entries)

    async def _write(self, entries: Sequence[_Entry]) -> None:
        try:
            results = await self._commit([entry.operation for entry in entries])
        except Exception as failure:  # whatever it was, those who wait must hear of it
            if len(entries) > 1 and isinstance(failure.__cause__, _OWN_FAULT):
                for entry in entries:  # one operation is at fault; the others must not fail with it
                    await self._write([entry])
                return
            results = [failure] * len(entries)
        for entry, result in zip(entries, results, strict=True):
            _resolve(entry.result, result)

    async def _commit(self, operations: Sequence[Operation]) -> list[Any]:
        names = [name for each in operations for name in each.tenants]
        ids = [key for each in operations for key in each.ids]

        def work(connection: Connection) -> list[Any]:
            results: list[Any] = [None] * len(operations)
            batch = load(self._database, connection, names, ids)
            _apply(operations, results, batch, asks=False)
            release_orphans(batch, self._grace_ms)
            _apply(operations, results, batch, asks=True)
            save(self._database, connection, batch)
            return results

        return await self._database.write(work)


def _apply(operations: Sequence[Operation], results: list[Any], batch: Batch, *, asks: bool) -> None:
    for index, operation in enumerate(operations):
        if operation.asks is asks:
            try:
                results[index] = operation.apply(batch)
            except SteprouteError as refusal:
                results[index] = refusal


def _resolve(future: "asyncio.Future[Any]", result: Any) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
