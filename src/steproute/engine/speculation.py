"""Drafts that are started before it is known whether they are needed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from steproute.core.errors import BackendError, ScorerError, SpendingLimitReached
from steproute.core.solution import Draft, Prefix, Scores

_T = TypeVar("_T")

Place = tuple[str, tuple[str, ...]]
"""A role and the texts of the steps from which it wrote."""


@dataclass(slots=True, eq=False)
class SpeculativeDraft:
    """A draft from `prefix`: the places it took seeds for and what it wrote, both undone where it comes to nothing."""

    prefix: Prefix
    judge: str | None
    places: list[Place] = field(default_factory=list)
    written: list[Draft] = field(default_factory=list)
    writing: asyncio.Task[Draft | None] | None = None
    scoring: asyncio.Task[Scores | None] | None = None

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """What is under way for it, or was."""
        return [task for task in (self.writing, self.scoring) if task is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculativeCalls:
    """What writes a draft, what the prefix is after it (None where the solution ends), and what has the judge score it.

    judge: None where nothing is to be scored.
    """

    write: Callable[[SpeculativeDraft], Awaitable[Draft]]
    after: Callable[[Prefix, Draft], Prefix | None]
    judge: str | None
    score: Callable[[str, Prefix, Draft], Awaitable[Scores]]


class Speculation:
    """For each role a chain of drafts, one from the other. Those that are not taken are cancelled, and all of them have
    ended when the episode ends.

    undo: called with each draft that comes to nothing, after its calls have ended.
    """

    def __init__(self, undo: Callable[[SpeculativeDraft], None]) -> None:
        self._undo = undo
        self._chains: dict[str, _Chain] = {}
        self._taken: dict[int, SpeculativeDraft] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """No draft and no scoring outlives this context, whatever ends it."""
        try:
            yield
        finally:
            async with AsyncExitStack() as left:
                left.push_async_callback(self._drop_scorings)
                for role in self._chains:
                    left.push_async_callback(self.drop, role)

    def start(self, role: str, prefix: Prefix, length: int, calls: SpeculativeCalls) -> None:
        """Have up to `length` drafts of the role that nobody has taken, the first of a new chain from `prefix`."""
        self._chains.setdefault(role, _Chain(prefix, calls)).grow(length)

    async def take(self, role: str, prefix: Prefix) -> tuple[Draft, list[Draft]] | None:
        """The role's next draft, if it is from just this prefix, and all that was written for it, once it is there.

        None where there is none or it failed; then the role's chain is dropped.
        """
        if role not in self._chains:
            return None
        drafts = self._chains[role].drafts
        head = drafts[0]
        if head.prefix.texts == prefix.texts and (draft := await _result(head.writing)) is not None:
            drafts.popleft()
            if not drafts:
                del self._chains[role]
            if head.scoring is not None:
                self._taken[draft.id] = head
            return draft, head.written
        await self.drop(role)
        return None

    async def scores(self, judge: str, prefix: Prefix, draft: Draft) -> Scores | None:
        """The judge's scores of a draft that was taken, once they are there; None where it gave none from here."""
        speculative = self._taken.get(draft.id)
        if speculative is None or speculative.judge != judge or speculative.prefix.texts != prefix.texts:
            return None
        scores = await _result(speculative.scoring)
        del self._taken[draft.id]
        return scores

    async def drop(self, role: str) -> None:
        """Cancel the role's drafts, if there are any; returns when their calls have ended and are billed."""
        if role not in self._chains:
            return
        chain = self._chains[role]
        chain.closed = True
        try:
            await _ended(task for speculative in chain.drafts for task in speculative.tasks)
        finally:
            del self._chains[role]
            for speculative in chain.drafts:
                self._undo(speculative)

    async def _drop_scorings(self) -> None:
        await _ended(task for speculative in self._taken.values() for task in speculative.tasks)


class _Chain:
    """Drafts under way or written that nobody has taken, oldest first."""

    def __init__(self, prefix: Prefix, calls: SpeculativeCalls) -> None:
        self.drafts: deque[SpeculativeDraft] = deque()
        self.closed = False
        self._calls, self._length = calls, 0
        self._next: Prefix | None = prefix  # None while the last draft is being written, and after the solution's end

    def grow(self, length: int) -> None:
        """Write on where there are fewer than `length`."""
        self._length = length
        if self._next is not None and len(self.drafts) < length and not self.closed:
            speculative, self._next = SpeculativeDraft(self._next, self._calls.judge), None
            self.drafts.append(speculative)
            speculative.writing = asyncio.create_task(self._write(speculative))

    async def _write(self, speculative: SpeculativeDraft) -> Draft | None:
        draft = await _tried(lambda: self._calls.write(speculative))
        if draft is not None and not self.closed:
            if (judge := self._calls.judge) is not None:
                speculative.scoring = asyncio.create_task(
                    _tried(lambda: self._calls.score(judge, speculative.prefix, draft))
                )
            self._next = self._calls.after(speculative.prefix, draft)
            self.grow(self._length)
        return draft


async def _tried(work: Callable[[], Awaitable[_T]]) -> _T | None:
    """The result; None if a backend or a scorer failed or it could not be paid, which counts only for needed work."""
    try:
        return await work()
    except (BackendError, ScorerError, SpendingLimitReached):
        return None


async def _result(task: asyncio.Task[_T | None] | None) -> _T | None:
    """A task's result, without cancelling it where this wait is cancelled."""
    assert task is not None
    await asyncio.wait([task])
    return task.result()


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks once and wait until all have ended, even where this wait is cancelled; raises what one raised."""
    all_tasks = list(tasks)
    for task in all_tasks:
        task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in all_tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as cancellation:
            interrupted = cancellation
    if interrupted is not None:
        raise interrupted
    for task in all_tasks:
        if not task.cancelled():
            task.result()
