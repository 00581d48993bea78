"""Several calls at once that stand or fall together."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def together(*calls: Coroutine[Any, Any, _T]) -> list[_T]:
    """What all of them return, in order; the first failure cancels the others and is raised once they have ended.

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


def _failure(tasks: Iterable["asyncio.Task[Any]"]) -> BaseException | None:
    """Of those that have failed, each of which counts as seen."""
    failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return next(filter(None, failures), None)
