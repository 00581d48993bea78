import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute import (
    AccountLine,
    Draft,
    Meter,
    ModelRole,
    Outcome,
    Prefix,
    Price,
    Problem,
    Purpose,
    Roles,
    Sampling,
    Step,
    Stop,
    Usage,
)
from steproute.core.errors import BackendError, ConfigError, DatasetError
from steproute.core.trace import Trace
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile, read_traces
from steproute.strategies.single import Single

PROBLEMS = [Problem.ask(id=str(i), text=f"problem {i}") for i in range(12)]
ROUTE = Route(name="single/weak", strategy=Single("weak"))


class SeededModel:
    """Answers with the seed that it was given, so that a redone problem is recognisably the same."""

    name = "seeded"

    def __init__(self) -> None:
        self.solved: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(sampling.seed % 5):
            await asyncio.sleep(0)
        self.in_flight -= 1
        self.solved[prefix.problem.id] += 1
        return [Draft(model=self.name, text=f"\\boxed{{{sampling.seed}}}", stop=Stop.END, usage=Usage(output_tokens=3))]


def solve(path: Path, problems: list[Problem], model: SeededModel, in_flight: int = 4) -> dict[str, str | None]:
    roles, told = Roles(models={"weak": ModelRole(model=model)}), []
    with TraceFile(path) as traces:
        work = ((ROUTE, problem) for problem in problems)
        asyncio.run(run(work, roles, RunSettings(in_flight=in_flight), traces, told.append))
        found = [traces.get(ROUTE.name, problem.id, 0) for problem in problems]
    assert sorted(trace.problem_id for trace in told) == sorted(problem.id for problem in problems)
    return {trace.problem_id: trace.answer for trace in found if trace is not None}


def test_a_rerun_solves_nothing_again_and_returns_the_same(tmp_path: Path) -> None:
    first, second = SeededModel(), SeededModel()
    before = solve(tmp_path / "t.zst", PROBLEMS, first)
    assert solve(tmp_path / "t.zst", PROBLEMS, second) == before
    assert not second.solved
    assert set(first.solved.values()) == {1}


def test_no_more_than_the_given_number_of_problems_are_in_flight(tmp_path: Path) -> None:
    model = SeededModel()
    solve(tmp_path / "t.zst", PROBLEMS, model, in_flight=3)
    assert 1 < model.most_in_flight <= 3


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 10_000), done=st.integers(0, 12))
def test_resume_after_a_cut_at_any_byte_equals_an_undisturbed_run(
    tmp_path_factory: pytest.TempPathFactory, cut: int, done: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "t.zst"
    undisturbed = solve(path.with_suffix(".whole"), PROBLEMS, SeededModel())
    solve(path, PROBLEMS[:done], SeededModel())
    data = path.read_bytes()
    path.write_bytes(data[: min(cut, len(data))])
    kept = {trace.problem_id for trace in read_traces(path)}
    model = SeededModel()
    assert solve(path, PROBLEMS, model) == undisturbed
    assert not kept & set(model.solved)
    assert sorted(trace.problem_id for trace in read_traces(path)) == sorted(problem.id for problem in PROBLEMS)


def test_cancelling_a_run_keeps_what_is_finished_and_accounts_for_what_is_not(tmp_path: Path) -> None:
    model = SeededModel()

    async def interrupt() -> None:
        with TraceFile(tmp_path / "t.zst") as traces:
            roles = Roles(models={"weak": ModelRole(model=model)})
            work = ((ROUTE, problem) for problem in PROBLEMS)
            task = asyncio.create_task(run(work, roles, RunSettings(in_flight=2), traces))
            while len(model.solved) < 5:
                await asyncio.sleep(0)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupt())
    found = read_traces(tmp_path / "t.zst")
    finished = [trace for trace in found if trace.outcome is not Outcome.CANCELLED]
    again = SeededModel()
    solve(tmp_path / "t.zst", PROBLEMS, again)
    assert len(finished) >= 5
    assert set(again.solved) == {problem.id for problem in PROBLEMS} - {trace.problem_id for trace in finished}


def test_a_mistake_in_the_set_up_ends_the_run_with_its_own_error(tmp_path: Path) -> None:
    route = Route(name="single/mid", strategy=Single("mid"))
    roles = Roles(models={"weak": ModelRole(model=SeededModel())})
    with TraceFile(tmp_path / "t.zst") as traces, pytest.raises(ConfigError, match="'mid' has no model"):
        asyncio.run(run([(route, PROBLEMS[0])], roles, RunSettings(), traces))


def test_a_cancellation_that_a_backend_leaks_ends_the_run_instead_of_losing_a_problem(tmp_path: Path) -> None:
    class Leaky(SeededModel):
        async def propose(self, *rest: object, **named: object) -> list[Draft]:  # type: ignore[override]
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="was cancelled, but not by the run"):
        solve(tmp_path / "t.zst", PROBLEMS, Leaky())


def test_two_processes_cannot_append_to_one_file(tmp_path: Path) -> None:
    with TraceFile(tmp_path / "t.zst"), pytest.raises(ConfigError, match="in use by another process"):
        TraceFile(tmp_path / "t.zst")


def test_a_trace_comes_back_as_it_was_written(tmp_path: Path) -> None:
    line = AccountLine(
        role="weak",
        model="m",
        purpose=Purpose.ACCEPTED,
        usage=Usage(input_tokens=3, output_tokens=2, estimated=True),
        cost_usd=Decimal("0.0000012"),
        price_table="t",
        latency_s=0.5,
    )
    trace = Trace(
        problem_id="p",
        route="r",
        steps=(Step(role="weak", text="x ≤ 1\n", tokens=2, score=0.25),),
        answer=None,
        outcome=Outcome.MAX_STEPS,
        account=(line,),
        latency_s=1.5,
        seed=3,
    )
    with TraceFile(tmp_path / "t.zst") as traces:
        traces.append(trace)
    assert read_traces(tmp_path / "t.zst") == [trace]


def test_reading_a_missing_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        read_traces(tmp_path / "none.zst")


class Flaky(SeededModel):
    """Its server is down for some problems."""

    name = "seeded"

    def __init__(self, down: Iterable[str]) -> None:
        super().__init__()
        self.down = set(down)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        if prefix.problem.id in self.down:
            if meter is not None:
                meter.usage = Usage(output_tokens=1)
            raise BackendError("server: down")
        return await super().propose(prefix, n, sampling, meter)


def attempt_all(path: Path, model: SeededModel, *, keep_failed: bool = False) -> tuple[list[Trace], Decimal]:
    roles = Roles(models={"weak": ModelRole(model=model, price=Price(input=Decimal(1), output=Decimal(1_000_000)))})
    with TraceFile(path) as traces:
        work = [(ROUTE, problem) for problem in PROBLEMS]
        asyncio.run(run(work, roles, RunSettings(in_flight=4, keep_failed=keep_failed), traces))
        found = [traces.get(ROUTE.name, problem.id, 0) for problem in PROBLEMS]
        return [replace(trace, latency_s=0.0) for trace in found if trace is not None], traces.abandoned_usd


@pytest.mark.parametrize("down", [["3"], ["0", "5", "11"], [problem.id for problem in PROBLEMS]], ids=len)
@pytest.mark.parametrize("outages", [1, 2])
def test_problems_that_an_outage_failed_are_solved_by_the_same_command(
    tmp_path: Path, down: list[str], outages: int
) -> None:
    undisturbed, nothing = attempt_all(tmp_path / "whole", SeededModel())
    for outage in range(outages):
        failed, lost = attempt_all(tmp_path / "t.zst", Flaky(down))
        assert [trace.problem_id for trace in failed if trace.failed] == down
        assert lost == outage * len(down)
    model = SeededModel()
    after, lost = attempt_all(tmp_path / "t.zst", model)
    assert after == undisturbed
    assert set(model.solved) == set(down), "what was solved is not solved again"
    assert (nothing, lost) == (0, outages * len(down)), "one dollar for each failed attempt"


def test_failed_problems_can_be_kept(tmp_path: Path) -> None:
    before, _ = attempt_all(tmp_path / "t.zst", Flaky(["3", "4"]))
    model = SeededModel()
    assert attempt_all(tmp_path / "t.zst", model, keep_failed=True) == (before, 0)
    assert not model.solved


HALVES = ["\ud800", "\udfff", "a\ud83db", "\udc80" * 5, "\ude00\ud83d"]


class Broken(SeededModel):
    """Cuts one answer in the middle of a character."""

    def __init__(self, problem_id: str, text: str) -> None:
        super().__init__()
        self.problem_id, self.text = problem_id, text

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        (draft,) = await super().propose(prefix, n, sampling, meter)
        if prefix.problem.id != self.problem_id:
            return [draft]
        return [replace(draft, text=self.text)]


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize("grown", [False, True])
def test_half_a_character_in_a_draft_fails_its_problem_and_not_the_run(tmp_path: Path, half: str, grown: bool) -> None:
    price = Price(input=Decimal(1), output=Decimal(1_000_000))
    roles = Roles(models={"weak": ModelRole(model=Broken("7", half), price=price)})
    with StepTree(tmp_path / "tree", 1) as tree, TraceFile(tmp_path / "t.zst") as traces:
        work = [(ROUTE, problem) for problem in PROBLEMS]
        asyncio.run(run(work, tree.roles(roles) if grown else roles, RunSettings(), traces))
        found = {problem.id: traces.get(ROUTE.name, problem.id, 0) for problem in PROBLEMS}
    failed = [trace for trace in found.values() if trace is None or trace.failed]
    assert failed == [found["7"]]
    assert found["7"] is not None
    assert "seeded: wrote half a character" in str(found["7"].error)
    assert found["7"].cost_usd == 3, "what it wrote is paid for"


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize("field", ["id", "text"])
def test_half_a_character_in_a_problem_fails_it_before_any_call(tmp_path: Path, half: str, field: str) -> None:
    broken = Problem.ask(**{"text": PROBLEMS[3].text, "id": PROBLEMS[3].id, field: half})
    problems = [*PROBLEMS[:3], broken]
    for _ in range(2):
        model = SeededModel()
        with TraceFile(tmp_path / "t.zst") as traces:
            roles = Roles(models={"weak": ModelRole(model=model)})
            asyncio.run(run([(ROUTE, problem) for problem in problems], roles, RunSettings(), traces))
            found = [traces.get(ROUTE.name, problem.id, 0) for problem in problems]
        assert [trace is not None and trace.outcome for trace in found] == [Outcome.ANSWERED] * 3 + [Outcome.FAILED]
        assert f"problem.{field}: holds half a character" in str(found[3] and found[3].error)
        assert problems[3].id not in model.solved


def test_half_a_character_in_a_servers_error_is_spelled_out(tmp_path: Path) -> None:
    class Rude(SeededModel):
        async def propose(self, *rest: object, **named: object) -> list[Draft]:  # type: ignore[override]
            raise BackendError("server said \ud800")

    (trace, *_), _ = attempt_all(tmp_path / "t.zst", Rude())
    assert trace.error == "BackendError: server said \\ud800"
