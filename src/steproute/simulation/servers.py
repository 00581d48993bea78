"""Servers in virtual time: requests that share a generating model, and requests that a reading model batches."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_CLOSE: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Generating:
    """Speed of a server that generates.

    request_s: seconds that each request takes beside the model (network, scheduling). read_s: seconds a prompt token
    that is not cached. token_s: seconds a generated token of a request that is alone; each further request under way
    adds token_s_per_request for all. slots: how many requests are under way at most; others queue, first come, first
    served.
    """

    request_s: float
    read_s: float
    token_s: float
    token_s_per_request: float
    slots: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Speed of a server that reads and scores, without a prefix cache.

    request_s: seconds that each request takes beside the model. pass_s and read_s: seconds of a pass and of each token
    in it. batch: how many waiting requests one pass takes in. passes: how many passes run at once (replicas).
    """

    request_s: float
    pass_s: float
    read_s: float
    batch: int = 1
    passes: int = 1


class GeneratingServer:
    """All requests under way advance together, one token each, the slower the more of them there are.

    Prompts are read beside the generating of others (chunked prefill) and do not slow it down.
    """

    def __init__(self, speed: Generating) -> None:
        self.speed = speed
        self._slots = asyncio.Semaphore(speed.slots)
        self._ends: dict[asyncio.Future[None], float] = {}
        self._written, self._at_s = 0.0, 0.0  # tokens of a request that has been there from the start, and until when
        self._timer: asyncio.TimerHandle | None = None

    async def generate(self, tokens: int, uncached: int, count: Callable[[int], None]) -> None:
        """Read so many uncached tokens, then write so many.

        `count` is told 0 when reading begins, and the whole tokens written when the request ends or is cancelled.
        """
        await asyncio.sleep(self.speed.request_s)
        async with self._slots:
            count(0)
            await asyncio.sleep(self.speed.read_s * uncached)
            began, done = self._advance(), asyncio.get_running_loop().create_future()
            self._ends[done] = began + tokens
            self._set_timer()
            try:
                await done
            except asyncio.CancelledError:
                count(min(tokens, int(self._advance() - began)))
                raise
            finally:
                self._advance()
                self._ends.pop(done, None)
                self._set_timer()
            count(tokens)

    def _advance(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._ends:
            self._written += (now - self._at_s) / self._token_s()
        self._at_s = now
        return self._written

    def _token_s(self) -> float:
        return self.speed.token_s + self.speed.token_s_per_request * (len(self._ends) - 1)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ends:
            left = min(self._ends.values()) - self._written
            self._timer = asyncio.get_running_loop().call_later(left * self._token_s(), self._finish)

    def _finish(self) -> None:
        written = self._advance()
        for done, end in list(self._ends.items()):
            if end <= written + _CLOSE * max(1.0, written):
                del self._ends[done]
                if not done.done():
                    done.set_result(None)
        self._set_timer()


class ReadingServer:
    """Passes over batches of waiting requests, first come, first served."""

    def __init__(self, speed: Reading) -> None:
        self.speed = speed
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._passes = 0

    async def read(self, tokens: int) -> None:
        """Wait for the pass that reads these tokens to end."""
        await asyncio.sleep(self.speed.request_s)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, done))
        self._start()
        await done

    def _start(self) -> None:
        while self._waiting and self._passes < self.speed.passes:
            batch: list[tuple[int, asyncio.Future[None]]] = []
            while self._waiting and len(batch) < self.speed.batch:
                tokens, done = self._waiting.popleft()
                if not done.cancelled():
                    batch.append((tokens, done))
            if batch:
                self._passes += 1
                seconds = self.speed.pass_s + self.speed.read_s * sum(tokens for tokens, _ in batch)
                asyncio.get_running_loop().call_later(seconds, self._finish, batch)

    def _finish(self, batch: list[tuple[int, asyncio.Future[None]]]) -> None:
        self._passes -= 1
        for _, done in batch:
            if not done.done():
                done.set_result(None)
        self._start()


class PrefixCache:
    """How much of a prompt a server has computed for the session already; the longest unused session is forgotten."""

    def __init__(self, sessions: int = 4096) -> None:
        self._sessions = sessions
        self._known: OrderedDict[str, list[tuple[str, int]]] = OrderedDict()

    def common(self, session: str, parts: list[tuple[str, int]]) -> int:
        """Tokens of the leading parts, (text, tokens) each, that are known."""
        tokens = 0
        for known, part in zip(self._known.get(session, ()), parts, strict=False):
            if known != part:
                break
            tokens += part[1]
        return tokens

    def keep(self, session: str, parts: list[tuple[str, int]]) -> None:
        """Know these parts from now on."""
        self._known.pop(session, None)
        self._known[session] = parts
        if len(self._known) > self._sessions:
            self._known.popitem(last=False)
