"""Grading by a regular expression."""

import asyncio
import atexit
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.grade import Grade, graded_text
from steproute.core.problem import Problem
from steproute.core.solution import Meter
from steproute.grading.worker_process import Worker

_LONGEST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexGrader:
    """Correct if the answer matches `pattern`, or with none the problem's gold answer, in the syntax of Python's `re`.

    whole: all of the answer has to match; otherwise some part of it. cpu_s: seconds of CPU time that one match may take
    in its worker process. Raises ConfigError for a pattern that is none.
    """

    pattern: str = ""
    ignore_case: bool = False
    whole: bool = True
    cpu_s: float = 2.0

    def __post_init__(self) -> None:
        if (fault := _fault(self.pattern)) is not None:
            raise ConfigError(
                f"{self.pattern!r} is no regular expression ({fault}).", where="pattern", remedy="Correct it."
            )
        if not 0 < self.cpu_s < float("inf"):
            raise ConfigError(f"{self.cpu_s} is no time.", where="cpu_s", remedy="Give seconds, above 0.")

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """CORRECT for a match; no answer is incorrect. UNDECIDED if the gold answer is no pattern, or on timeout."""
        text, pattern = graded_text(problem, answer, solution), self.pattern or problem.answer or ""
        if text is None:
            return Grade.of(False)
        if (fault := _fault(pattern)) is not None:
            return Grade.undecided(f"the gold answer {pattern!r} is no regular expression ({fault})")
        if len(text) > _LONGEST:
            return Grade.undecided(f"{len(text)} characters are more than {_LONGEST}")
        question = json.dumps([pattern, self.ignore_case, self.whole])
        verdict = await asyncio.to_thread(_worker().ask, text.strip(), question, self.cpu_s)
        if verdict is None:
            return Grade.undecided(f"{pattern!r} took more than {self.cpu_s:g} s of CPU time")
        return Grade.of(verdict)


def _fault(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as failure:
        return str(failure)
    return None


@cache
def _worker() -> Worker[bool]:
    worker = Worker[bool]("steproute.grading.regex_worker")
    atexit.register(worker.close)
    return worker
