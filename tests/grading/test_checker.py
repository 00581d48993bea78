import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.boxed import closed_boxed
from steproute.core.grade import Verdict
from steproute.evaluation.datasets import read_rows
from steproute.grading import worker
from steproute.grading.checker import AnswerChecker

HANGING = "9^{9^{9^{9^9}}}"
WITH_FORMULAS = ("2\\sqrt{2}", "\\sqrt{8}")


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as checker:
        yield checker


@given(st.integers(), st.integers())
def test_integers_need_no_worker(a: int, b: int) -> None:
    checker = AnswerChecker()
    assert checker.check_now(str(a), str(b)) is (Verdict.CORRECT if a == b else Verdict.INCORRECT)
    assert checker._worker._process is None


@given(st.integers(4_300, 9_000), st.sampled_from("123456789"), st.sampled_from(["", "-"]))
def test_integers_of_any_length_are_compared(length: int, digit: str, sign: str) -> None:
    long = sign + digit * length
    checker = AnswerChecker()
    assert checker.check_now(long, long) is Verdict.CORRECT
    assert checker.check_now(sign + "00" + long.lstrip("-"), long) is Verdict.CORRECT
    assert checker.check_now(long, "5") is Verdict.INCORRECT
    assert checker.check_now(long + "0", long) is Verdict.INCORRECT


@pytest.mark.parametrize(
    "text",
    [
        "7" * 4_400 + ".5",
        "\\frac{1}{" + "7" * 4_400 + "}",
        "{" * 5_000 + "1" + "}" * 5_000,
        "(" * 5_000 + "1" + ")" * 5_000,
        "\\frac{1}{" * 2_000 + "2" + "}" * 2_000,
        ",".join(str(number) for number in range(20_000)),
        "\\sqrt{" * 900 + "2" + "}" * 900,
        "\ud800",
        "1e999999999",
        "10^{999999999}",
        "\\text{" * 300 + "x" + "}" * 300,
    ],
)
def test_hostile_answers_get_a_verdict(checker: AnswerChecker, text: str) -> None:
    assert checker.check_now(text, "\\frac{1}{2}") in (Verdict.INCORRECT, Verdict.UNDECIDED)
    assert checker.check_now(*WITH_FORMULAS) is Verdict.CORRECT


def test_an_endless_comparison_is_undecided_and_the_next_one_works() -> None:
    with AnswerChecker(cpu_s=1.0) as checker:
        assert checker.check_now(HANGING, "3") is Verdict.UNDECIDED
        assert checker.check_now(*WITH_FORMULAS) is Verdict.CORRECT


def test_a_worker_that_was_killed_is_replaced_before_the_next_comparison() -> None:
    with AnswerChecker() as checker:
        checker.check_now(*WITH_FORMULAS)
        assert checker._worker._process is not None
        os.kill(checker._worker._process.pid, signal.SIGKILL)
        checker._worker._process.wait()
        assert checker.check_now("3\\sqrt{2}", "\\sqrt{18}") is Verdict.CORRECT


def test_a_worker_outlives_the_event_loop_that_started_it() -> None:
    """Its parent is the process, and not the thread in which the loop started it."""
    with AnswerChecker() as checker:
        assert asyncio.run(checker.check(*WITH_FORMULAS)) is Verdict.CORRECT
        first = checker._worker._process
        assert asyncio.run(checker.check("3\\sqrt{2}", "\\sqrt{18}")) is Verdict.CORRECT
        assert checker._worker._process is first


def test_time_counts_while_the_worker_computes_and_not_while_it_waits() -> None:
    """A worker that is stopped for longer than its limit still gives its verdict."""
    with AnswerChecker(cpu_s=1.0) as checker:
        checker.check_now(*WITH_FORMULAS)
        assert checker._worker._process is not None
        worker = checker._worker._process.pid

        async def compare() -> Verdict:
            os.kill(worker, signal.SIGSTOP)
            waiting = asyncio.create_task(checker.check("3\\sqrt{2}", "\\sqrt{18}"))
            await asyncio.sleep(1.5)
            assert not waiting.done()
            os.kill(worker, signal.SIGCONT)
            return await waiting

        assert asyncio.run(compare()) is Verdict.CORRECT


def test_the_mathematics_has_no_limit_of_digits(checker: AnswerChecker) -> None:
    assert checker.check_now("\\lfloor 10^{5000} \\rfloor", "10^{5000}") is Verdict.CORRECT


def test_a_closed_checker_has_no_worker() -> None:
    with AnswerChecker() as checker:
        checker.check_now(*WITH_FORMULAS)
        assert checker._worker is not None
        process = checker._worker._process
    assert process.poll() is not None


def test_the_shared_checker_is_closed_at_exit() -> None:
    """A worker that is left running shows as a ResourceWarning."""
    code = f"from steproute.grading.checker import shared_checker; shared_checker().check_now(*{WITH_FORMULAS!r})"
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert "ResourceWarning" not in run.stderr


def test_the_worker_leaves_an_interrupt_to_its_parent(checker: AnswerChecker) -> None:
    """A terminal sends Ctrl-C to both of them."""
    checker.check_now(*WITH_FORMULAS)
    first = checker._worker._process
    assert first is not None
    os.kill(first.pid, signal.SIGINT)
    assert checker.check_now("7\\sqrt{2}", "\\sqrt{98}") is Verdict.CORRECT
    assert checker._worker._process is first


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_the_worker_has_four_gibibytes_of_memory(checker: AnswerChecker) -> None:
    checker.check_now(*WITH_FORMULAS)
    assert checker._worker is not None
    assert resource.prlimit(checker._worker._process.pid, resource.RLIMIT_AS)[0] == 4 * 2**30


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses no CPU time, so a limit of elapsed time is needed, too."""
    with AnswerChecker() as checker:
        checker.check_now(*WITH_FORMULAS)
        assert checker._worker is not None
        worker = checker._worker._process.pid
        os.kill(worker, signal.SIGSTOP)
        waking = threading.Timer(20.0, os.kill, (worker, signal.SIGCONT))
        waking.start()
        with monkeypatch.context() as patch:
            patch.setattr("steproute.grading.worker_process._WALL_PER_CPU", 0.1)
            assert checker.check_now("3\\sqrt{2}", "\\sqrt{18}") is Verdict.UNDECIDED
        waking.cancel()
        assert checker.check_now("5\\sqrt{2}", "\\sqrt{50}") is Verdict.CORRECT


def test_each_question_has_its_own_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(worker, "_limit", lambda kind, amount: limits.append((kind, amount)))
    monkeypatch.setattr("time.process_time", lambda: 7.4)
    worker._allow(5.0)
    assert limits == [(resource.RLIMIT_CPU, 13)]


@pytest.mark.parametrize("failure", [ValueError, RecursionError, MemoryError, AssertionError])
def test_mathematics_that_fails_is_undecided(failure: type[Exception]) -> None:
    def compare(answer: str, gold: str) -> bool:
        raise failure

    assert worker._answered(compare, "x^2", "x^3") is None


def test_undecided_answers_are_tried_again_with_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def ask(self: AnswerChecker, answer: str, gold: str, cpu_s: float) -> Verdict:
        limits.append(cpu_s)
        return Verdict.UNDECIDED if cpu_s <= 2 else Verdict.CORRECT

    monkeypatch.setattr(AnswerChecker, "_ask", ask)
    with AnswerChecker(cpu_s=2.0) as checker:
        assert asyncio.run(checker.check(*WITH_FORMULAS)) is Verdict.UNDECIDED
        assert asyncio.run(checker.settled(*WITH_FORMULAS)) is Verdict.CORRECT
        assert asyncio.run(checker.check(*WITH_FORMULAS)) is Verdict.CORRECT
    assert limits == [2.0, 8.0]


def test_what_stays_undecided_is_tried_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    monkeypatch.setattr(
        AnswerChecker, "_ask", lambda self, answer, gold, cpu_s: limits.append(cpu_s) or Verdict.UNDECIDED
    )
    with AnswerChecker(cpu_s=2.0) as checker:
        for _ in range(3):
            assert asyncio.run(checker.settled(*WITH_FORMULAS)) is Verdict.UNDECIDED
    assert limits == [2.0, 8.0]


def test_concurrent_questions_get_their_own_answers(checker: AnswerChecker) -> None:
    """Every other answer is wrong, so that a verdict given to a neighbour shows."""

    async def ask() -> list[Verdict]:
        return await asyncio.gather(
            *(checker.check(f"\\sqrt{{{4 * i}}}", f"2\\sqrt{{{i + i % 2}}}") for i in range(100, 140))
        )

    assert asyncio.run(ask()) == [Verdict.CORRECT, Verdict.INCORRECT] * 20


def test_comparisons_work_with_more_than_1024_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("needs a hard limit of 1 200 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048 if hard == resource.RLIM_INFINITY else min(hard, 2048), hard))
    held = []
    try:
        held += [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        with AnswerChecker() as checker:
            assert checker.check_now(*WITH_FORMULAS) is Verdict.CORRECT
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


RUN = f"""
import time
from steproute.grading.checker import AnswerChecker
with AnswerChecker(600) as checker:
    checker.check_now(*{WITH_FORMULAS!r})
    print(checker._worker._process.pid, flush=True)
    checker.check_now(%r, "3")
    time.sleep(%d)
"""


@pytest.mark.parametrize("busy", [HANGING, None], ids=["while it computes", "while it waits"])
def test_the_worker_ends_when_its_parent_is_killed(busy: str | None) -> None:
    code = RUN % (HANGING if busy else "", 600)
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = int(run.stdout.readline())
    time.sleep(0.5)
    run.kill()
    run.wait()
    run.stdout.close()
    assert _ends(worker)


def test_the_worker_ends_by_its_own_limit_while_its_parent_lives() -> None:
    command = [sys.executable, "-m", "steproute.grading.worker", str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stdout.readline() == "true\n"
        worker.stdin.write(json.dumps([HANGING, "3", 1]) + "\n")
        worker.stdin.flush()
        assert worker.wait(300) == -signal.SIGXCPU


def _ends(process: int) -> bool:
    for _ in range(300):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_the_reference_solutions_of_math500_are_correct(checker: AnswerChecker, data_folder: Path) -> None:
    rows = [row for _, row in read_rows(data_folder / "math500/test.jsonl.gz")]
    verdicts = [checker.check_now(closed_boxed(str(row["solution"])), str(row["answer"])) for row in rows]
    assert verdicts == [Verdict.CORRECT] * 400


def test_recorded_llama_answers_are_judged_as_recorded(checker: AnswerChecker, data_folder: Path) -> None:
    path = data_folder / "traces_llama_math500/llama3.2-1b_stepwise_n1_q500.jsonl.gz"
    for _, row in read_rows(path):
        solution = "\n\n".join(row["steps"])  # type: ignore[arg-type]
        verdict = checker.check_now(closed_boxed(solution), str(row["answer"]))
        # 0.00006667 for 0.0000672 was recorded as correct: an absolute tolerance let it pass.
        expected = row["correct"] and "number_theory/598" not in str(row["id"])
        assert (verdict is Verdict.CORRECT) == expected, row["id"]
