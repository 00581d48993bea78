"""An event loop whose clock does not wait: it jumps to the next timer when nothing else is left to do."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs what sleeps as fast as what computes, in the order of its timers, so that a run can be repeated exactly.

    For code that waits for timers alone: threads and sockets live in real time.
    """

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now_s


class _JumpingSelector(selectors.SelectSelector):
    """Takes the wait that it is asked for as passed."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("virtual time: everything waits and no timer is set, so this would wait forever.")
        self.now_s += max(0.0, timeout)
        return super().select(0)


def run_virtually(main: Coroutine[Any, Any, _T]) -> _T:
    """The result of `main` on a fresh loop in virtual time; raises RuntimeError where all of it waits for nothing."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
