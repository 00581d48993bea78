"""Verdicts are on the traces, and a trace is graded again only if there is a reason to."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.scripted import Fail, Say, ScriptedModel

from steproute import ModelRole, Outcome, Problem, Roles
from steproute.core.errors import BackendError
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile, read_traces
from steproute.evaluation.sweep import Cell, Series, Solved, Sweep, run_sweep
from steproute.grading import mathematics
from steproute.grading.checker import AnswerChecker
from steproute.strategies.single import Single

WEAK, STRONG, MIDDLE = (
    Route(name=name, strategy=Single(role)) for name, role in (("w", "weak"), ("s", "strong"), ("m", "weak"))
)
SWEEP = Sweep(weak=WEAK, strong=STRONG, policy=Series(name="threshold", knobs=(0.5,), routes=(MIDDLE,)))
PROBLEMS = [Problem.ask(id=str(number), text="?", answer=str(number)) for number in range(3)]


def solve(path: Path, weak: ScriptedModel | None = None, problems: list[Problem] = PROBLEMS) -> Solved:
    roles = Roles(
        models={
            "weak": ModelRole(model=weak or ScriptedModel("m", [])),
            "strong": ModelRole(model=ScriptedModel("s", [])),
        }
    )
    with TraceFile(path) as traces:
        return asyncio.run(run_sweep(SWEEP, problems, roles, RunSettings(in_flight=1), traces))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str]]:
    """The answers that were compared."""
    asked: list[tuple[str | None, str]] = []

    class Counting(AnswerChecker):
        async def check(self, answer: str | None, gold: str) -> Verdict:
            asked.append((answer, gold))
            return await super().check(answer, gold)

    counting = Counting()
    monkeypatch.setattr(mathematics, "shared_checker", lambda: counting)
    return asked


def test_verdict_gold_answer_and_grader_are_on_every_trace_on_disk(tmp_path: Path) -> None:
    solved = solve(tmp_path / "t.zst")
    traces = read_traces(tmp_path / "t.zst")
    assert len(traces) == len(solved.traces) == 9
    for trace in traces:
        right = trace.problem_id == "1"  # the models answer 1
        assert (trace.verdict, trace.gold, trace.grader) == (
            Verdict.CORRECT if right else Verdict.INCORRECT,
            trace.problem_id,
            solved.traces[0].grader,
        )
    assert not solved.earlier
    assert traces[0].grader is not None
    assert traces[0].grader.startswith("math (steproute ")


def test_a_resumed_run_grades_nothing_again(tmp_path: Path, checked: list[tuple[str | None, str]]) -> None:
    first = solve(tmp_path / "t.zst")
    assert len(checked) == 3, "routes with the same solution share its grade"
    size = (tmp_path / "t.zst").stat().st_size
    again = solve(tmp_path / "t.zst")
    assert again.traces == first.traces
    assert again.earlier == {Cell.of(trace) for trace in first.traces}
    assert len(checked) == 3
    assert (tmp_path / "t.zst").stat().st_size == size


OTHER: dict[str, Callable[[Trace], Trace]] = {
    "another grader": lambda trace: replace(trace, grader="another", verdict=Verdict.INCORRECT),
    "undecided": lambda trace: replace(trace, verdict=Verdict.UNDECIDED),
    "not graded": lambda trace: replace(trace, verdict=None, gold=None, grader=None),
    "another gold answer": lambda trace: replace(trace, gold="77"),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_trace_is_graded_again_if_its_verdict_may_be_another(
    tmp_path: Path, checked: list[tuple[str | None, str]], name: str
) -> None:
    first = solve(tmp_path / "t.zst")
    path = tmp_path / "other.zst"
    with TraceFile(path) as traces:
        for trace in first.traces:
            traces.append(OTHER[name](trace) if trace.problem_id == "1" else trace)
    checked.clear()
    model = ScriptedModel("m", [])
    again = solve(path, model)
    assert not model.asked, "nothing is solved again"
    assert again.traces == first.traces
    assert checked == [("1", "1")]
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 0, "it is the same attempt"
        assert traces.get("w", "1", 0) == first.traces[3]
    checked.clear()
    assert solve(path).traces == first.traces
    assert not checked


def test_what_failed_has_no_verdict_and_says_who_was_at_fault(tmp_path: Path) -> None:
    weak = ScriptedModel("m", [Fail(BackendError("m: down")), Say("so \\boxed{0}")])
    solved = solve(tmp_path / "t.zst", weak, PROBLEMS[:1])
    failed = solved.traces[0]
    assert (failed.outcome, failed.verdict, failed.grader, failed.at_fault) == (Outcome.FAILED, None, None, "weak")
    later = solve(tmp_path / "t.zst", ScriptedModel("m", [Say("so \\boxed{0}")]), PROBLEMS[:1])
    assert [trace.verdict for trace in later.traces] == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.CORRECT]
    assert Cell.of(failed) not in later.earlier
    assert len(later.earlier) == 2


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError])
def test_a_solution_is_kept_if_its_grading_does_not_return(tmp_path: Path, error: type[BaseException]) -> None:
    async def broken(problem: Problem, trace: Trace) -> Trace:
        raise error

    roles = Roles(models={"weak": ModelRole(model=ScriptedModel("m", []))})
    with TraceFile(tmp_path / "t.zst") as traces:
        work = run([(WEAK, PROBLEMS[1])], roles, RunSettings(in_flight=1), traces, grade=broken)
        with pytest.raises(RuntimeError):
            asyncio.run(work)
    (kept,) = read_traces(tmp_path / "t.zst")
    assert (kept.answer, kept.verdict, kept.outcome) == ("1", None, Outcome.ANSWERED)


def test_a_route_that_is_named_twice_is_solved_and_stored_once(tmp_path: Path) -> None:
    def at(seed: int) -> Sweep:
        weak, strong, middle = (replace(route, seed=seed) for route in (WEAK, STRONG, MIDDLE))
        policy, again = replace(SWEEP.policy, routes=(middle,)), Series(name="s", knobs=(0.0,), routes=(strong,))
        return Sweep(weak=weak, strong=strong, policy=policy, baselines=(again, policy, again))

    twice = replace(at(0), repeats=(at(1),))
    roles = Roles(models={role: ModelRole(model=ScriptedModel(role, [])) for role in ("weak", "strong")})
    with TraceFile(tmp_path / "t.zst") as traces:
        solved = asyncio.run(run_sweep(twice, PROBLEMS, roles, RunSettings(in_flight=1), traces))
        spent = traces.spent_usd
    cells = [Cell.of(trace) for trace in read_traces(tmp_path / "t.zst")]
    assert len(cells) == len(set(cells)) == len(solved.traces) == len(list(twice.work(PROBLEMS))) == 18
    assert spent == sum(trace.cost_usd for trace in solved.traces)
    assert [route.name for route in twice.routes] == ["w", "s", "m"]
