"""Grades of traces by a run's grader. Verdicts of a model are paid for once and kept on disk."""

import hashlib
from collections.abc import Awaitable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from steproute.core.concurrency import KeyedLock
from steproute.core.errors import BackendError, DatasetError
from steproute.core.grade import Grade, Verdict, graded_text
from steproute.core.ports import READS_SOLUTION, StepsGrader
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Meter
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Purpose
from steproute.engine.account import Account
from steproute.engine.frame_file import FrameFile
from steproute.engine.metering import Bill, MeteredCalls
from steproute.engine.roles import GraderRole

GRADES: Final = "grades.jsonl.zst"
_KIND: Final = "grades"


class _Line(msgspec.Struct, frozen=True, tag="line"):
    key: str
    line: AccountLine


class _Verdict(msgspec.Struct, frozen=True, tag="verdict"):
    key: str
    verdict: Verdict
    note: str


_encoder: Final = msgspec.json.Encoder(decimal_format="string")
_decoder: Final = msgspec.json.Decoder(_Line | _Verdict)


class GradeBook:
    """Grades of one run, each computed once; a grader with `reads_solution = False` grades each answer once.

    path: keeps the verdicts and bills of a grader that calls a model; None keeps none. A context manager, which
    releases the file. Raises ConfigError if another process holds it, DatasetError if it is damaged.
    """

    def __init__(self, grading: GraderRole, path: Path | None = None, retries: int = 3) -> None:
        self._grading, self._retries = grading, retries
        self._known: dict[str, Grade] = {}
        self._spent_usd = Decimal(0)
        self._under_way = KeyedLock()
        self._file = FrameFile(path, _KIND) if path is not None and grading.is_paid else None
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    async def grade(self, problem: Problem, trace: Trace, separator: str = DEFAULT_SEPARATOR) -> Grade | None:
        """As `grade_or_fail`, but if the model fails the solution stays undecided, and the next run asks again."""
        try:
            return await self.grade_or_fail(problem, trace, separator)
        except BackendError as failure:
            return Grade.undecided(f"the grader failed: {failure}")

    async def grade_or_fail(self, problem: Problem, trace: Trace, separator: str = DEFAULT_SEPARATOR) -> Grade | None:
        """The grade of a solution; None if the problem failed (not an incorrect answer) or has no gold answer, unless
        the grader reads steps.

        Raises BackendError if the grader's model fails.
        """
        reads_steps = isinstance(self._grading.grader, StepsGrader)
        if trace.failed or (problem.answer is None and not reads_steps):
            return None
        solution = separator.join(step.text for step in trace.steps)
        shares = not READS_SOLUTION.of(self._grading.grader)
        text = graded_text(problem, trace.answer, solution) if shares else solution
        rewards = tuple(step.reward for step in trace.steps) if reads_steps else ()
        key = _key(problem, trace.answer, text, *rewards)
        async with self._under_way.hold(key):
            return self._known.get(key) or await self._ask(key, problem, trace, solution)

    @property
    def spent_usd(self) -> Decimal:
        """Dollars paid for grading so far, including earlier runs."""
        return self._spent_usd

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "GradeBook":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, key: str, problem: Problem, trace: Trace, solution: str) -> Grade:
        role, grader = self._grading, self._grading.grader
        bill = Bill(role=role.role, model=role.model, price=role.price)
        account = Account(lambda line: self._enter(key, line))
        calls = MeteredCalls(account, self._retries)

        def call(meter: Meter) -> Awaitable[Grade]:
            if isinstance(grader, StepsGrader):
                return grader.grade_steps(problem, trace.steps, meter)
            return grader.grade(problem, trace.answer, solution, meter)

        grade = await calls.make(bill, role.limiter, call)
        for model_call in grade.calls:
            account.enter(bill.line(Purpose.GRADE, model_call.usage, model_call.latency_s, model_call.request_id))
        self._known[key] = replace(grade, calls=())
        self._write(_Verdict(key, grade.verdict, grade.note))
        return grade

    def _enter(self, key: str, line: AccountLine) -> None:
        line = replace(line, purpose=Purpose.GRADE)
        self._spent_usd += line.cost_usd
        self._write(_Line(key, line))

    def _write(self, node: _Line | _Verdict) -> None:
        if self._file is not None:
            self._file.append(_encoder.encode(node))

    def _load(self) -> None:
        for _, frame in self._file.scan() if self._file is not None else ():
            try:
                node = _decoder.decode(frame)
            except msgspec.DecodeError as failure:
                raise DatasetError(
                    f"{failure}. The file was not changed.", where="grades", remedy="Name another run."
                ) from None
            if isinstance(node, _Line):
                self._spent_usd += node.line.cost_usd
            else:
                self._known[node.key] = Grade(node.verdict, node.note)


def _key(problem: Problem, answer: str | None, text: str | None, *rewards: float | None) -> str:
    """All that a grade depends on within a run, which has one grader."""
    parts = problem.id, problem.canonical, problem.answer, answer, text, *rewards
    return hashlib.blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
