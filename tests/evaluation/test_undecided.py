"""An answer that could not be graded is counted, and leaves its problem in every route."""
# ruff: noqa: E501

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from steproute import Outcome, Problem
from steproute.cli.tables import print_summary
from steproute.config import lab_roles
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.engine.runner import Route, RunSettings
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.report import write_report
from steproute.evaluation.summarise import summarise
from steproute.evaluation.sweep import Series, Sweep, run_sweep
from steproute.grading.checker import AnswerChecker
from steproute.lab.story import generate
from steproute.strategies.single import Single

WEAK, STRONG, MIDDLE = (
    Route(name=name, strategy=Single(role)) for name, role in (("w", "weak"), ("s", "strong"), ("m", "weak"))
)
SWEEP = Sweep(weak=WEAK, strong=STRONG, policy=Series(name="threshold", knobs=(0.5,), routes=(MIDDLE,)))
PROBLEMS = [Problem.ask(id=str(number), text="?", answer="1") for number in range(10)]


def graded(route: Route, problem: Problem, verdict: Verdict) -> Trace:
    return Trace(
        problem_id=problem.id, route=route.name, steps=(), answer="1", outcome=Outcome.ANSWERED, account=(), latency_s=0.1, seed=0, verdict=verdict
    )  # fmt: skip


def rows(verdicts: dict[tuple[str, str], Verdict]) -> list[Trace]:
    wrong = {("w", str(number)) for number in range(5)}
    return [
        graded(route, problem, verdicts.get((route.name, problem.id), _default((route.name, problem.id) in wrong)))
        for route in (WEAK, STRONG, MIDDLE)
        for problem in PROBLEMS
    ]


def _default(wrong: bool) -> Verdict:
    return Verdict.INCORRECT if wrong else Verdict.CORRECT


@pytest.mark.parametrize("route", ["w", "s", "m"])
@pytest.mark.parametrize("count", [1, 3])
def test_undecided_answers_count_as_not_correct_and_leave_no_problem_out(route: str, count: int) -> None:
    undecided = {(route, str(9 - number)): Verdict.UNDECIDED for number in range(count)}
    summary = summarise("x", "d", SWEEP, PROBLEMS, rows(undecided), seed=0)
    wrong = dict.fromkeys(undecided, Verdict.INCORRECT)
    same = summarise("x", "d", SWEEP, PROBLEMS, rows(wrong), seed=0)
    assert (summary.problems, summary.undecided, summary.failed) == (10, count, 0)
    assert (summary.weak, summary.strong, summary.points) == (same.weak, same.strong, same.points)


def test_metrics_count_undecided_answers_as_not_correct() -> None:
    table = JudgedRuns(SWEEP, PROBLEMS, rows({("m", "1"): Verdict.UNDECIDED}))
    assert table.outcomes([MIDDLE]).correct.tolist() == [[number != 1 for number in range(10)]]


def test_the_terminal_and_the_report_show_how_many_were_undecided(tmp_path: Path) -> None:
    summary = summarise("x", "d", SWEEP, PROBLEMS, rows({("m", "1"): Verdict.UNDECIDED}), seed=0)
    console = Console(width=120, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    print_summary(console, summary)
    assert "1 undecided" in console.export_text()
    write_report(summary, [], tmp_path / "report.html")
    assert "Undecided: 1" in (tmp_path / "report.html").read_text()


def test_a_run_tries_undecided_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Slow(AnswerChecker):
        def _quick(self, answer: str | None, gold: str) -> Verdict | None:
            return self._known.get((str(answer), gold))

        def _ask(self, answer: str, gold: str, cpu_s: float) -> Verdict:
            asked.append(cpu_s)
            return Verdict.UNDECIDED if cpu_s < 10 else Verdict.CORRECT

    checker = Slow()
    monkeypatch.setattr("steproute.grading.mathematics.shared_checker", lambda: checker)
    monkeypatch.setattr("steproute.grading.checker.equal_text", lambda answer, gold: None)
    problems = [each for each, _ in zip(generate("test", 0, "standard"), range(2), strict=False)]
    with TraceFile(tmp_path / "traces.jsonl.zst") as traces:
        solved = asyncio.run(run_sweep(SWEEP, problems, lab_roles(), RunSettings(), traces))
    answered = [trace.verdict for trace in solved.traces if trace.answer]
    assert answered == [Verdict.CORRECT] * len(answered)
    assert answered
    assert set(asked) == {5.0, 20.0}
