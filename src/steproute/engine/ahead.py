"""Drafts that are started before it is known whether they are needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from steproute.core.errors import BackendError
from steproute.core.solution import Draft, Prefix


@dataclass(slots=True)
class Ahead:
    """One draft under way from `prefix`: the places it took seeds for and what it wrote, both undone where dropped."""

    prefix: Prefix
    places: list[tuple[str, int]] = field(default_factory=list)
    written: list[Draft] = field(default_factory=list)


class DraftsAhead:
    """At most one a role. Those that are not taken are cancelled, and all of them have ended when the episode ends.

    undo: called with each draft that comes to nothing, after its call has ended.
    """

    def __init__(self, undo: Callable[[Ahead], None]) -> None:
        self._undo = undo
        self._under_way: dict[str, tuple[Ahead, asyncio.Task[Draft | None]]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """No draft outlives this context, whatever ends it."""
        try:
            yield
        finally:
            async with AsyncExitStack() as left:
                for role in self._under_way:
                    left.push_async_callback(self.drop, role)

    def start(self, role: str, prefix: Prefix, write: Callable[[Ahead], Awaitable[Draft]]) -> None:
        """Start a draft, unless the role has one under way."""
        if role not in self._under_way:
            ahead = Ahead(prefix)
            self._under_way[role] = ahead, asyncio.create_task(_tried(write, ahead))

    async def take(self, role: str, prefix: Prefix) -> tuple[Draft, list[Draft]] | None:
        """The role's draft from just this prefix and all that was written for it, as soon as it is there.

        None where there is none or it failed; one from another prefix is dropped.
        """
        if role not in self._under_way:
            return None
        ahead, task = self._under_way[role]
        if _texts(ahead.prefix) == _texts(prefix):
            await asyncio.wait([task])
            if (draft := task.result()) is not None:
                del self._under_way[role]
                return draft, ahead.written
        await self.drop(role)
        return None

    async def drop(self, role: str) -> None:
        """Cancel the role's draft, if there is one; returns when its call has ended and is billed."""
        if role not in self._under_way:
            return
        ahead, task = self._under_way[role]
        try:
            await _ended(task)
        finally:
            del self._under_way[role]
            self._undo(ahead)


async def _tried(write: Callable[[Ahead], Awaitable[Draft]], ahead: Ahead) -> Draft | None:
    try:
        return await write(ahead)
    except BackendError:
        return None


async def _ended(task: asyncio.Task[Draft | None]) -> None:
    """Cancel a task once and wait until it has ended, even where this wait is cancelled; raises what it raised."""
    task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancellation:
            interrupted = cancellation
    if interrupted is not None:
        raise interrupted
    if not task.cancelled():
        task.result()


def _texts(prefix: Prefix) -> list[str]:
    return [step.text for step in prefix.steps]
