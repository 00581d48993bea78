"""Is a final answer correct? Plain answers are compared here, formulas in a worker process that may be ended."""

import asyncio
import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from functools import cache
from types import TracebackType
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.verdict import Verdict
from steproute.grading.compare import equal, equal_text

_STARTUP_S: Final = 900.0
_WALL_PER_CPU: Final = 120.0
_RETRY: Final = 4


class AnswerChecker:
    """Compares answers with gold answers, and remembers the verdicts. A context manager, which ends the worker.

    cpu_s: seconds of CPU time that one comparison may take, so that a busy machine gives the same verdicts. The worker
    starts with the first formula. One that takes longer, or dies, is replaced.
    """

    def __init__(self, cpu_s: float = 5.0) -> None:
        self._cpu_s = cpu_s
        self._known: dict[tuple[str, str], Verdict] = {}
        self._turn = threading.Lock()
        self._worker: _Worker | None = None

    async def check(self, answer: str | None, gold: str) -> Verdict:
        """Compare without blocking the event loop; see `check_now`."""
        quick = self._quick(answer, gold)
        return quick if quick is not None else await asyncio.to_thread(self.check_now, answer, gold)

    async def retry_undecided(self) -> None:
        """Try each undecided answer again, with more time; `check` then gives the new verdict."""
        for pair, verdict in list(self._known.items()):
            if verdict is Verdict.UNDECIDED:
                self._known[pair] = await asyncio.to_thread(self._ask, *pair, _RETRY * self._cpu_s)

    def check_now(self, answer: str | None, gold: str) -> Verdict:
        """Whether `answer` is the same as `gold`; no answer is wrong."""
        if answer is None:
            return Verdict.WRONG
        known = self._known.get((answer, gold)) or _verdict(equal_text(answer, gold))
        if known is None:
            self._start_worker()  # it gets ready while numbers are compared here
            known = self._quick(answer, gold) or self._ask(answer, gold, self._cpu_s)
            self._known[answer, gold] = known
        return known

    def close(self) -> None:
        """End the worker."""
        with self._turn:
            self._end_worker()

    def __enter__(self) -> "AnswerChecker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _quick(self, answer: str | None, gold: str) -> Verdict | None:
        """The verdict if it needs no formulas, else None."""
        if answer is None:
            return Verdict.WRONG
        if (known := self._known.get((answer, gold))) is not None:
            return known
        verdict = _verdict(equal(answer, gold, lambda one, other: None))
        if verdict is not None:
            self._known[answer, gold] = verdict
        return verdict

    def _start_worker(self) -> None:
        with self._turn:
            if self._worker is None or not self._worker.alive:
                self._end_worker()
                self._worker = _Worker()

    def _ask(self, answer: str, gold: str, cpu_s: float) -> Verdict:
        self._start_worker()
        with self._turn:
            verdict = None if self._worker is None else _verdict(self._worker.ask(answer, gold, cpu_s))
            return verdict or Verdict.UNDECIDED

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


@cache
def shared_checker() -> AnswerChecker:
    """The checker of this process, for strategies that compare answers; its worker ends with the process."""
    checker = AnswerChecker()
    atexit.register(checker.close)
    return checker


def _verdict(same: bool | None) -> Verdict | None:
    return None if same is None else Verdict.RIGHT if same else Verdict.WRONG


class _Worker:
    """A process that holds math-verify; its first line says that it is ready."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "steproute.grading.worker", str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ready, self._gone = False, False

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._gone and self._process.poll() is None

    def ask(self, answer: str, gold: str, cpu_s: float) -> bool | None:
        """The worker's verdict; None if it used up its time or died. Raises ConfigError if it never was ready."""
        assert self._process.stdin is not None
        if not self._ready and self._read(_STARTUP_S) is not True:
            raise ConfigError(
                "answers: the math-verify worker did not start. Reinstall math-verify, and see its error above."
            )
        self._ready = True
        try:
            self._process.stdin.write(json.dumps([answer, gold, cpu_s]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._gone = True
            return None
        return self._read(cpu_s * _WALL_PER_CPU)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self, wall_s: float) -> bool | None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(wall_s) else ""
        self._gone = not line
        verdict: bool | None = json.loads(line) if line else None
        return verdict
