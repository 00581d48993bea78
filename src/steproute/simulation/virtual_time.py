"""An event loop whose clock does not wait: it jumps to the next timer when nothing else is left to do."""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs what sleeps as fast as what computes, in the order of its timers, so that a run can be repeated exactly.

    For code that waits for timers alone: threads and sockets live in real time, for which the clock can be stopped.
    """

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now_s

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads, if there are any."""
        with self.stopped_clock():
            await super().shutdown_default_executor()

    @contextmanager
    def stopped_clock(self) -> Iterator[None]:
        """While it is open, no virtual time passes, and the loop waits for threads and sockets as any other does."""
        self._clock.stops += 1
        try:
            yield
        finally:
            self._clock.stops -= 1


class _JumpingSelector(selectors.SelectSelector):
    """Takes the wait that it is asked for as passed."""

    now_s = 0.0
    stops = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.stops:
            return super().select(timeout and None)
        if timeout is None:
            raise RuntimeError("virtual time: everything waits and no timer is set, so this would wait forever.")
        self.now_s += max(0.0, timeout)
        return super().select(0)


def run_virtually(main: Coroutine[Any, Any, _T]) -> _T:
    """The result of `main` on a fresh loop in virtual time; raises RuntimeError where all of it waits for nothing."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
