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
from steproute.core.usage import Purpose
from steproute.engine.cast import GraderRole
from steproute.engine.grade_book import GradeBook, Graded, grade_all

PRICE = Price(input=Decimal(10), output=Decimal(20))
CALL = Usage(input_tokens=100, output_tokens=3)
CALL_USD = Decimal("0.00106")
PROBLEM = Problem(id="p", text="How many?", answer="5")


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
        verdict = Verdict.RIGHT if answer == problem.answer else Verdict.WRONG
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


def graded(book: GradeBook, traces: Sequence[Trace], at_once: int = 4) -> list[Graded]:
    return asyncio.run(grade_all([(PROBLEM, each) for each in traces], book, at_once=at_once))


def test_one_answer_of_many_routes_is_asked_for_once_and_paid_once() -> None:
    grader = Paid()
    items = graded(GradeBook(role(grader)), [trace(route="a"), trace(route="b", text="It is 5."), trace("6", "c")])
    assert [item.verdict for item in items] == [Verdict.RIGHT, Verdict.RIGHT, Verdict.WRONG]
    assert [item.grading_usd for item in items] == [CALL_USD, 0, CALL_USD]
    lines = [(line.role, line.model, line.purpose, line.cost_usd, line.request_id) for line in items[0].account]
    assert lines == [("judge", "j", Purpose.GRADE, CALL_USD, "r")]
    assert grader.asked == 2


def test_a_grader_that_reads_solutions_is_asked_about_each() -> None:
    grader = Paid(reads_solution=True)
    graded(GradeBook(role(grader)), [trace(text="a"), trace(text="b"), trace(text="a")])
    assert grader.asked == 2


def test_failed_problems_and_those_without_a_gold_answer_have_no_verdict() -> None:
    grader = Paid()
    book = GradeBook(role(grader))
    unknown = Problem(id="p", text="How many?")
    items = asyncio.run(grade_all([(PROBLEM, trace(outcome=Outcome.FAILED)), (unknown, trace())], book))
    assert [(item.verdict, item.grading_usd) for item in items] == [(None, 0), (None, 0)]
    assert grader.asked == 0


def test_a_grader_that_fails_for_good_leaves_the_answer_undecided_and_its_calls_on_the_books(tmp_path: Path) -> None:
    grader = Paid(BackendError("no such key"))
    with GradeBook(role(grader), tmp_path / "grades") as book:
        (item,) = graded(book, [trace()])
    assert (item.verdict, item.note) == (Verdict.UNDECIDED, "the grader failed: no such key")
    assert [(line.purpose, line.cost_usd) for line in item.account] == [(Purpose.GRADE, CALL_USD)]
    with GradeBook(role(grader), tmp_path / "grades") as book:
        (again,) = graded(book, [trace()])
    assert (again.verdict, again.grading_usd, grader.asked) == (Verdict.RIGHT, 2 * CALL_USD, 2)


def test_a_failure_that_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.engine.metering.random.random", lambda: 0.0)
    grader = Paid(BackendUnavailable("busy"), BackendUnavailable("busy"))
    (item,) = graded(GradeBook(role(grader), retries=2), [trace()])
    assert (item.verdict, item.grading_usd, grader.asked) == (Verdict.RIGHT, 3 * CALL_USD, 3)


def test_a_resumed_run_pays_for_no_verdict_twice(tmp_path: Path) -> None:
    grader = Paid()
    for _ in range(2):
        with GradeBook(role(grader), tmp_path / "grades") as book:
            items = graded(book, [trace(), trace("6")])
            assert [(item.verdict, item.grading_usd) for item in items] == [
                (Verdict.RIGHT, CALL_USD),
                (Verdict.WRONG, CALL_USD),
            ]
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
        assert [item.verdict for item in graded(book, [trace(), trace("6"), trace(None)], at_once=1)] == [
            Verdict.RIGHT,
            Verdict.WRONG,
            Verdict.WRONG,
        ]
    assert not (tmp_path / "grades").exists()
