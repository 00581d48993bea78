"""Grades of a run: asked for once, on the books, and never lost."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from steproute import Meter, Outcome, Price, Problem, Step, Usage
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, DatasetError
from steproute.core.grade import Grade, Verdict
from steproute.core.solution import ModelCall
from steproute.core.trace import Trace
from steproute.engine.grade_book import GradeBook
from steproute.engine.roles import GraderRole

PRICE = Price(input=Decimal(10), output=Decimal(20))
CALL = Usage(input_tokens=100, output_tokens=3)
CALL_USD = Decimal("0.00106")
PROBLEM = Problem.ask(id="p", text="How many?", answer="5")


class Paid:
    """A grader that asks a model, as it were: right if the answer is the gold one. It fails as often as it is told."""

    role = "judge"

    def __init__(self, *failures: BackendError, reads_solution: bool = False) -> None:
        self.failures, self.reads_solution, self.asked = list(failures), reads_solution, 0

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        self.asked += 1
        meter.usage = CALL
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        verdict = Verdict.CORRECT if answer == problem.answer else Verdict.INCORRECT
        return Grade(verdict, calls=(ModelCall(usage=CALL, request_id="r"),))


def role(grader: Paid) -> GraderRole:
    return GraderRole(grader=grader, role="judge", model="j", price=PRICE)


def trace(
    answer: str | None = "5", route: str = "r", text: str = "So 5.", outcome: Outcome = Outcome.ANSWERED
) -> Trace:
    steps = (Step(role="weak", text=text, tokens=2),)
    return Trace(
        problem_id="p", route=route, steps=steps, answer=answer, outcome=outcome, account=(), latency_s=0, seed=0
    )


def graded(book: GradeBook, traces: Sequence[Trace], problem: Problem = PROBLEM) -> list[Grade | None]:
    async def gather_or_cancel() -> list[Grade | None]:
        return await asyncio.gather(*(book.grade(problem, each) for each in traces))

    return asyncio.run(gather_or_cancel())


def verdicts(grades: Sequence[Grade | None]) -> list[Verdict | None]:
    return [None if grade is None else grade.verdict for grade in grades]


def test_one_answer_of_many_routes_is_asked_for_once_and_paid_once() -> None:
    grader = Paid()
    book = GradeBook(role(grader))
    found = graded(book, [trace(route="a"), trace(route="b", text="It is 5."), trace("6", "c")])
    assert verdicts(found) == [Verdict.CORRECT, Verdict.CORRECT, Verdict.INCORRECT]
    assert (grader.asked, book.spent_usd) == (2, 2 * CALL_USD)


def test_a_grader_that_reads_solutions_is_asked_about_each() -> None:
    grader = Paid(reads_solution=True)
    graded(GradeBook(role(grader)), [trace(text="a"), trace(text="b"), trace(text="a")])
    assert grader.asked == 2


def test_failed_problems_and_those_without_a_gold_answer_have_no_verdict() -> None:
    grader = Paid()
    book = GradeBook(role(grader))
    unknown = Problem.ask(id="p", text="How many?")
    assert graded(book, [trace(outcome=Outcome.FAILED)]) == graded(book, [trace()], unknown) == [None]
    assert (grader.asked, book.spent_usd) == (0, 0)


def test_a_grader_that_fails_for_good_leaves_the_answer_undecided_and_its_calls_on_the_books(tmp_path: Path) -> None:
    grader = Paid(BackendError("no such key"))
    with GradeBook(role(grader), tmp_path / "grades") as book:
        assert graded(book, [trace()]) == [Grade.undecided("the grader failed: no such key")]
        assert book.spent_usd == CALL_USD
    with GradeBook(role(grader), tmp_path / "grades") as book:
        assert verdicts(graded(book, [trace()])) == [Verdict.CORRECT]
        assert (book.spent_usd, grader.asked) == (2 * CALL_USD, 2)


def test_a_failure_that_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.engine.metering.random.random", lambda: 0.0)
    grader = Paid(BackendUnavailable("busy"), BackendUnavailable("busy"))
    book = GradeBook(role(grader), retries=2)
    assert verdicts(graded(book, [trace()])) == [Verdict.CORRECT]
    assert (book.spent_usd, grader.asked) == (3 * CALL_USD, 3)


def test_a_resumed_run_pays_for_no_verdict_twice(tmp_path: Path) -> None:
    grader = Paid()
    for _ in range(2):
        with GradeBook(role(grader), tmp_path / "grades") as book:
            assert verdicts(graded(book, [trace(), trace("6")])) == [Verdict.CORRECT, Verdict.INCORRECT]
            assert book.spent_usd == 2 * CALL_USD
    assert grader.asked == 2
    with GradeBook(role(grader), tmp_path / "grades") as book:
        graded(book, [trace()])
        assert book.spent_usd == 2 * CALL_USD


def test_a_file_of_grades_has_one_holder_and_is_checked(tmp_path: Path) -> None:
    with GradeBook(role(Paid()), tmp_path / "grades"), pytest.raises(ConfigError):
        GradeBook(role(Paid()), tmp_path / "grades")
    (tmp_path / "other").write_bytes(b"not ours at all, but long enough to be read")
    with pytest.raises(DatasetError):
        GradeBook(role(Paid()), tmp_path / "other")


def test_a_grader_that_costs_nothing_leaves_no_file(tmp_path: Path) -> None:
    with GradeBook(GraderRole(), tmp_path / "grades") as book:
        found = graded(book, [trace(), trace("6"), trace(None)])
        assert verdicts(found) == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.INCORRECT]
    assert not (tmp_path / "grades").exists()
