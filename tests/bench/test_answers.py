import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.bench.answers import AnswerChecker, Verdict
from steproute.bench.datasets import read_rows
from steproute.core.boxed import closed_boxed

HANGING = "9^{9^{9^{9^9}}}"


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as checker:
        yield checker


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("0.5", "\\frac{1}{2}", Verdict.RIGHT),
        ("\\frac43", "\\frac{4}{3}", Verdict.RIGHT),
        ("-2,1", "1,-2", Verdict.RIGHT),
        ("\\text{four}", "\\mbox{four}", Verdict.RIGHT),
        ("(3,\\frac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)", Verdict.RIGHT),
        ("007", "7", Verdict.RIGHT),
        ("3 < x \\le 4", "(3,4]", Verdict.RIGHT),
        ("[3,4]", "(3,4]", Verdict.WRONG),
        ("4", "5", Verdict.WRONG),
        ("\\frac{1}{3}", "\\frac{1}{2}", Verdict.WRONG),
        ("no idea", "12", Verdict.WRONG),
        (None, "12", Verdict.WRONG),
    ],
)
def test_answers_are_compared_as_mathematics(
    checker: AnswerChecker, answer: str | None, gold: str, verdict: Verdict
) -> None:
    assert checker.check_now(answer, gold) is verdict


@given(st.integers(), st.integers())
def test_integers_are_judged_without_the_worker(a: int, b: int) -> None:
    checker = AnswerChecker()
    assert checker.check_now(str(a), str(b)) is (Verdict.RIGHT if a == b else Verdict.WRONG)
    assert checker._worker is None


def test_an_answer_that_hangs_the_mathematics_times_out_and_the_next_one_is_judged() -> None:
    with AnswerChecker(deadline_s=1.0) as checker:
        assert checker.check_now(HANGING, "3") is Verdict.TIMED_OUT
        assert checker.check_now("0.5", "\\frac{1}{2}") is Verdict.RIGHT


def test_a_worker_that_dies_is_replaced() -> None:
    with AnswerChecker() as checker:
        checker.check_now("0.5", "\\frac{1}{2}")
        assert checker._worker is not None
        os.kill(checker._worker._process.pid, signal.SIGKILL)
        checker._worker._process.wait()
        assert checker.check_now("0.25", "\\frac{1}{4}") is Verdict.TIMED_OUT
        assert checker.check_now("0.75", "\\frac{3}{4}") is Verdict.RIGHT


def test_concurrent_questions_get_their_own_answers(checker: AnswerChecker) -> None:
    async def ask() -> list[Verdict]:
        return await asyncio.gather(*(checker.check(f"\\frac{{{i}}}{{7}}", f"{i % 5}/7") for i in range(10)))

    assert asyncio.run(ask()) == [Verdict.RIGHT if i < 5 else Verdict.WRONG for i in range(10)]


def test_the_reference_solutions_of_math500_are_right(checker: AnswerChecker, data_folder: Path) -> None:
    rows = [row for _, row in read_rows(data_folder / "math500/test.jsonl.gz")]
    verdicts = [checker.check_now(closed_boxed(str(row["solution"])), str(row["answer"])) for row in rows]
    assert verdicts == [Verdict.RIGHT] * 400


def test_recorded_llama_answers_are_judged_as_recorded(checker: AnswerChecker, data_folder: Path) -> None:
    path = data_folder / "traces_llama_math500/llama3.2-1b_stepwise_n1_q500.jsonl.gz"
    for _, row in read_rows(path):
        solution = "\n\n".join(row["steps"])  # type: ignore[arg-type]
        verdict = checker.check_now(closed_boxed(solution), str(row["answer"]))
        assert (verdict is Verdict.RIGHT) == row["correct"], row["id"]
