"""Is a final answer right? Exact text first, then math-verify in a worker process that can be killed when it hangs."""

import asyncio
import contextlib
import json
import re
import select
import subprocess
import sys
import threading
from enum import StrEnum
from types import TracebackType
from typing import Final

from steproute.core.errors import ConfigError

_STARTUP_S: Final = 60.0
_INTEGER: Final = re.compile(r"[+-]?\d+")
_SPACES: Final = re.compile(r"\s+|\\[,;:! ]|~")


class Verdict(StrEnum):
    """What the checker found; TIMED_OUT (the mathematics took too long, or crashed) is neither right nor wrong."""

    RIGHT = "right"
    WRONG = "wrong"
    TIMED_OUT = "timed_out"


class AnswerChecker:
    """Judges answers, remembering what it has judged. A context manager, which ends the worker.

    The worker starts with the first answer that needs mathematics. `deadline_s` bounds one judgement; a worker that
    exceeds it, or dies, is killed and replaced.
    """

    def __init__(self, deadline_s: float = 5.0) -> None:
        self._deadline_s = deadline_s
        self._known: dict[tuple[str, str], Verdict] = {}
        self._turn = threading.Lock()
        self._worker: _Worker | None = None

    async def check(self, answer: str | None, gold: str) -> Verdict:
        """Judge without blocking the event loop; see `check_now`."""
        quick = self._quick(answer, gold)
        return quick if quick is not None else await asyncio.to_thread(self.check_now, answer, gold)

    def check_now(self, answer: str | None, gold: str) -> Verdict:
        """Whether `answer` equals `gold` mathematically; no answer is wrong."""
        quick = self._quick(answer, gold)
        if quick is not None or answer is None:
            return quick or Verdict.WRONG
        with self._turn:
            verdict = self._known[answer, gold] = self._ask(answer, gold)
        return verdict

    def close(self) -> None:
        """End the worker."""
        with self._turn:
            self._replace_worker()

    def __enter__(self) -> "AnswerChecker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _quick(self, answer: str | None, gold: str) -> Verdict | None:
        """The verdict where no mathematics is needed, else None."""
        if answer is None:
            return Verdict.WRONG
        left, right = (_SPACES.sub("", text) for text in (answer, gold))
        if left == right:
            return Verdict.RIGHT
        if _INTEGER.fullmatch(left) and _INTEGER.fullmatch(right):
            return Verdict.RIGHT if int(left) == int(right) else Verdict.WRONG
        return self._known.get((answer, gold))

    def _ask(self, answer: str, gold: str) -> Verdict:
        if self._worker is None:
            self._worker = _Worker()
        verdict = self._worker.ask(answer, gold, self._deadline_s)
        if verdict is None:
            self._replace_worker()
            return Verdict.TIMED_OUT
        return Verdict.RIGHT if verdict else Verdict.WRONG

    def _replace_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class _Worker:
    """A process that holds math-verify; it says so once it is ready."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "steproute.bench.answer_worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._read(_STARTUP_S) is not True:
            self.kill()
            raise ConfigError(
                "answers: the math-verify worker did not start. Reinstall math-verify, and see its error above."
            )

    def ask(self, answer: str, gold: str, deadline_s: float) -> bool | None:
        """The worker's verdict; None where it did not give one in time or died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([answer, gold]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read(deadline_s)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self, deadline_s: float) -> bool | None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], deadline_s)
        line = self._process.stdout.readline() if ready else ""
        return bool(json.loads(line)) if line else None
