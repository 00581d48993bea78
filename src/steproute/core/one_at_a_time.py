"""Work on one key is done by one caller at a time."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Turns:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class OneAtATime:
    """A lock a key, forgotten only with the last who holds it or waits for it."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turns] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """The key to oneself, once those who asked for it before are through with it."""
        turns = self._turns.setdefault(key, _Turns())
        turns.users += 1
        try:
            async with turns.lock:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._turns[key]
