"""Several calls at once that stand or fall together."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def together(*calls: Coroutine[Any, Any, _T]) -> list[_T]:
    """What all of them return, in order; the first failure cancels the others and is raised once they have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
