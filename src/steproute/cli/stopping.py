"""SIGTERM and SIGHUP end a command cleanly, as Ctrl-C does."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

INTERRUPTED: Final = "interrupted. The same command continues where this one stopped."
_T = TypeVar("_T")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal has ended the work; exit_code is 128 plus its number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def run_until_stopped(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of `work`, which SIGINT, SIGTERM and SIGHUP cancel; raises Stopped once it has ended.

    A signal that is ignored, as `nohup` does with SIGHUP, stays ignored.
    """
    received: list[int] = []

    async def watched() -> _T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number)
        return await work

    try:
        return asyncio.run(watched())
    except KeyboardInterrupt:
        raise Stopped(signal.SIGINT) from None
    except asyncio.CancelledError:
        if not received:
            raise
        raise Stopped(received[0]) from None
