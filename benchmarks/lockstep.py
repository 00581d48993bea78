"""TRIM's loop as its reference implementation runs it: in rounds, each phase one batch for all problems.

All problems draft one step and wait for the slowest, all are scored and wait, those rejected are written again and all
wait, then the next round begins. It is a strategy over the same episodes, so any backend and the same seeds serve it.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from steproute.engine.episode import Episode
from steproute.strategies.stepwise import Stepwise

T = TypeVar("T")


class Rounds:
    """Where everybody who takes part waits for all others."""

    def __init__(self) -> None:
        self._taking_part = self._waiting = 0
        self._limiter = asyncio.Event()

    def join(self) -> None:
        self._taking_part += 1

    def leave(self) -> None:
        self._taking_part -= 1
        self._open_where_all_wait()

    async def in_lockstep(self, work: Awaitable[T]) -> T:
        """The result of `work`, when everybody's is there."""
        result, limiter = await work, self._limiter
        self._waiting += 1
        self._open_where_all_wait()
        await limiter.wait()
        return result

    def _open_where_all_wait(self) -> None:
        if self._waiting >= self._taking_part:
            self._limiter.set()
            self._limiter, self._waiting = asyncio.Event(), 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockstep(Stepwise):
    """One object for all problems of a run, on one event loop. Who joins later begins with the next round."""

    rounds: Rounds = field(default_factory=Rounds)

    async def solve(self, episode: Episode) -> None:
        self.rounds.join()
        try:
            prefix = episode.start()
            while not prefix.finished:
                draft = await self.rounds.in_lockstep(episode.propose("weak", prefix))
                scores = await self.rounds.in_lockstep(episode.score(prefix, draft, self.judge))
                decision = await episode.decide(self.policy, draft, scores)
                prefix = await self.rounds.in_lockstep(self.carry_out(episode, prefix, draft, decision))
        finally:
            self.rounds.leave()
