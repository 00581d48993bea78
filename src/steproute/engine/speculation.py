"""Drafts that are started before it is known whether they are needed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from steproute.core.errors import BackendError, BudgetExceeded, ScorerError, SpendingLimitReached
from steproute.core.solution import Draft, Prefix, Scores
from steproute.core.usage import Purpose
from steproute.engine.account import Account
from steproute.engine.branches import Branches
from steproute.engine.drafting import Drafting, Trial
from steproute.engine.scoring import Scoring

_T = TypeVar("_T")

_FAILURES: Final = (BackendError, BudgetExceeded, ScorerError, SpendingLimitReached)
"""What counts only for work that is needed."""


@dataclass(slots=True, eq=False)
class SpeculativeDraft:
    """A draft from `prefix` under way or written, and its scores by `scorer`, a role, if there is one."""

    prefix: Prefix
    scorer: str | None
    trial: Trial = field(default_factory=Trial)
    writing: asyncio.Task[Draft | None] | None = None
    scoring: asyncio.Task[Scores | None] | None = None

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """All tasks that were started for it."""
        return [task for task in (self.writing, self.scoring) if task is not None]


@dataclass(slots=True, eq=False)
class _Chain:
    """A role's drafts that nobody has taken, oldest first, each from the one before.

    length: how many there should be. next_prefix: of the next draft; None while the last one is being written, and
    after the solution's end.
    """

    role: str
    scorer: str | None
    next_prefix: Prefix | None
    drafts: deque[SpeculativeDraft] = field(default_factory=deque)
    length: int = 0
    closed: bool = False


class Speculation:
    """For each role a chain of drafts. Those that are not taken are cancelled: they release their seeds and stay on the
    account as cancelled. All tasks have ended when the episode ends."""

    def __init__(self, drafting: Drafting, scoring: Scoring, branches: Branches, account: Account) -> None:
        self._drafting, self._scoring, self._branches, self._account = drafting, scoring, branches, account
        self._chains: dict[str, _Chain] = {}
        self._taken: dict[int, SpeculativeDraft] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """No draft and no scoring outlives this context, whatever ends it."""
        try:
            yield
        finally:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._drop_scorings)
                for role in self._chains:
                    stack.push_async_callback(self.drop, role)

    def start(self, role: str, prefix: Prefix, length: int, scorer: str | None) -> None:
        """Keep up to `length` drafts of the role that nobody has taken, the first of a new chain from `prefix`."""
        chain = self._chains.get(role)
        if chain is None:
            chain = self._chains[role] = _Chain(role, scorer, prefix)
        chain.length = length
        self._grow(chain)

    async def take(self, role: str, prefix: Prefix) -> tuple[Draft, list[Draft]] | None:
        """The role's next draft, if it is from just this prefix, and all that was written for it, when it is ready.

        None if there is none or it failed; then the role's chain is dropped.
        """
        if role not in self._chains:
            return None
        drafts = self._chains[role].drafts
        head = drafts[0]
        from_here = head.prefix.texts == prefix.texts and head.prefix.advice == prefix.advice
        if from_here and (draft := await _result(head.writing)) is not None:
            drafts.popleft()
            if not drafts:
                del self._chains[role]
            if head.scoring is not None:
                self._taken[draft.id] = head
            return draft, head.trial.drafts
        await self.drop(role)
        return None

    async def scores(self, scorer: str, prefix: Prefix, draft: Draft) -> Scores | None:
        """The scores of a draft that was taken, when they are ready; None if the scorer gave none from this prefix."""
        speculative = self._taken.get(draft.id)
        if speculative is None or speculative.scorer != scorer or speculative.prefix.texts != prefix.texts:
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
                self._undo(speculative.trial)

    def _undo(self, trial: Trial) -> None:
        """Forget a draft that was not needed, except for what it spent."""
        self._drafting.release(trial)
        for draft in trial.drafts:
            self._account.settle(draft.id, Purpose.CANCELLED)
            self._account.settle(_scores_key(draft), Purpose.CANCELLED)

    def _grow(self, chain: _Chain) -> None:
        """Start the next draft if there are too few."""
        if chain.next_prefix is not None and len(chain.drafts) < chain.length and not chain.closed:
            speculative, chain.next_prefix = SpeculativeDraft(chain.next_prefix, chain.scorer), None
            chain.drafts.append(speculative)
            speculative.writing = asyncio.create_task(self._write(chain, speculative))

    async def _write(self, chain: _Chain, speculative: SpeculativeDraft) -> Draft | None:
        """Write a draft; then start its scoring and the next draft."""
        prefix = speculative.prefix
        try:
            draft = await self._drafting.draft(chain.role, prefix, trial=speculative.trial)
        except _FAILURES:
            return None
        if not chain.closed:
            longer, outcome = self._branches.ending(prefix, draft)
            if chain.scorer is not None:
                speculative.scoring = asyncio.create_task(self._score(chain.scorer, longer, draft))
            if outcome is None:
                chain.next_prefix = longer
            self._grow(chain)
        return draft

    async def _score(self, scorer: str, prefix: Prefix, draft: Draft) -> Scores | None:
        try:
            return await self._scoring.scores(scorer, prefix, _scores_key(draft))
        except _FAILURES:
            return None

    async def _drop_scorings(self) -> None:
        await _ended(task for speculative in self._taken.values() for task in speculative.tasks)


def _scores_key(draft: Draft) -> Hashable:
    """Under which the lines of a speculative draft's scores are settled."""
    return "scores", draft.id


async def _result(task: asyncio.Task[_T | None] | None) -> _T | None:
    """A task's result, without cancelling it if this wait is cancelled."""
    assert task is not None
    await asyncio.wait([task])
    return task.result()


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks once and wait until all have ended, even if this wait is cancelled; raises what one raised."""
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
