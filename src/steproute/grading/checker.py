"""Is a final answer correct? Plain answers are compared here, formulas in a worker process that may be ended."""

import asyncio
import atexit
from functools import cache
from types import TracebackType
from typing import Final

from steproute.core.grade import Verdict
from steproute.grading.compare import equal, equal_text
from steproute.grading.worker_process import Worker

__all__ = ["AnswerChecker", "Verdict", "shared_checker"]

_RETRY: Final = 4


class AnswerChecker:
    """Compares answers with gold answers, and remembers the verdicts. A context manager, which ends the worker.

    cpu_s: seconds of CPU time that one comparison may take, so that a busy machine gives the same verdicts. The worker
    starts with the first formula. One that takes longer, or dies, is replaced.
    """

    def __init__(self, cpu_s: float = 5.0) -> None:
        self._cpu_s = cpu_s
        self._known: dict[tuple[str, str], Verdict] = {}
        self._settled: set[tuple[str, str]] = set()
        self._worker = Worker[bool]("steproute.grading.worker")

    async def check(self, answer: str | None, gold: str) -> Verdict:
        """Compare without blocking the event loop; see `check_now`."""
        quick = self._quick(answer, gold)
        return quick if quick is not None else await asyncio.to_thread(self.check_now, answer, gold)

    async def settled(self, answer: str | None, gold: str) -> Verdict:
        """As `check`; an undecided comparison is tried again, with more time."""
        verdict = await self.check(answer, gold)
        if verdict is not Verdict.UNDECIDED or answer is None or (answer, gold) in self._settled:
            return verdict
        self._settled.add((answer, gold))
        verdict = await asyncio.to_thread(self._ask, answer, gold, _RETRY * self._cpu_s)
        self._known[answer, gold] = verdict
        return verdict

    def check_now(self, answer: str | None, gold: str) -> Verdict:
        """Whether `answer` is the same as `gold`; no answer is incorrect."""
        if answer is None:
            return Verdict.INCORRECT
        known = self._known.get((answer, gold)) or _verdict(equal_text(answer, gold))
        if known is None:
            self._worker.start()  # it gets ready while numbers are compared here
            known = self._quick(answer, gold) or self._ask(answer, gold, self._cpu_s)
            self._known[answer, gold] = known
        return known

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def __enter__(self) -> "AnswerChecker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _quick(self, answer: str | None, gold: str) -> Verdict | None:
        """The verdict if it needs no formulas, else None."""
        if answer is None:
            return Verdict.INCORRECT
        if (known := self._known.get((answer, gold))) is not None:
            return known
        verdict = _verdict(equal(answer, gold, lambda one, other: None))
        if verdict is not None:
            self._known[answer, gold] = verdict
        return verdict

    def _ask(self, answer: str, gold: str, cpu_s: float) -> Verdict:
        return _verdict(self._worker.ask(answer, gold, cpu_s)) or Verdict.UNDECIDED


@cache
def shared_checker() -> AnswerChecker:
    """The checker of this process; its worker ends with the process."""
    checker = AnswerChecker()
    atexit.register(checker.close)
    return checker


def _verdict(same: bool | None) -> Verdict | None:
    return None if same is None else Verdict.CORRECT if same else Verdict.INCORRECT
