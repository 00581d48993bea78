import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked, Fault, HostileServer
from tests.backends.http.test_faults import writer_of
from tests.engine.scripted import Fail, Hang, Say, ScriptedModel
from tests.engine.test_episode import PROBLEM, STRONG_PRICE, WEAK_PRICE, Stage, stepwise

from steproute import (
    Draft,
    Episode,
    Limits,
    Meter,
    ModelRole,
    Outcome,
    Prefix,
    Price,
    Purpose,
    Roles,
    Sampling,
    ScorerRole,
    Step,
    Stop,
)
from steproute.config import lab_roles, trim_world_roles
from steproute.core.errors import BackendUnavailable, ConfigError, SpendingLimitReached
from steproute.core.ports import Continuation
from steproute.core.usage import UNSET, Usage
from steproute.core.usage_bounds import most_scored, most_written
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.paid_journal import PaidJournal
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.spending import SpendingLimit, check_priced, limited
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile, read_traces
from steproute.lab.story import generate
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.confidence import ConfidenceScorer
from steproute.simulation.virtual_time import run_virtually
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

MILLI = Decimal("0.001")
LAB = list(islice(generate("test"), 8))


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the most that it can cost and what it costs, in thousandths of a dollar, and when it comes and goes."""

    most: int
    cost: int
    begins_s: int
    lasts_s: int
    fails: bool
    cancelled_after_s: int
    waits: bool

    @property
    def most_usd(self) -> Decimal:
        return self.most * MILLI

    @property
    def usd(self) -> Decimal:
        return min(self.cost, self.most) * MILLI


calls = st.lists(
    st.builds(
        Call,
        most=st.integers(0, 9),
        cost=st.integers(0, 9),
        begins_s=st.integers(0, 6),
        lasts_s=st.integers(0, 4),
        fails=st.booleans(),
        cancelled_after_s=st.integers(0, 12),
        waits=st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(calls=calls, most=st.integers(1, 30))
def test_the_limit_is_never_exceeded_and_everything_ends(calls: list[Call], most: int) -> None:
    paid: list[Decimal] = []
    limit = SpendingLimit(most * MILLI, on_paid=paid.append)

    async def make(call: Call) -> None:
        await asyncio.sleep(call.begins_s)
        async with limit.reserve(call.most_usd, wait=call.waits) as payment:
            payment.usd = call.usd / 2
            assert limit.spent_usd + limit.reserved_usd <= most * MILLI
            await asyncio.sleep(call.lasts_s)
            payment.usd = call.usd
            if call.fails:
                raise BackendUnavailable("down")

    async def gather_or_cancel() -> list[object]:
        tasks = [asyncio.create_task(make(call)) for call in calls]
        for task, call in zip(tasks, calls, strict=True):
            asyncio.get_running_loop().call_later(call.cancelled_after_s, task.cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run_virtually(gather_or_cancel())
    assert limit.spent_usd == sum(paid, Decimal(0)) <= most * MILLI
    assert limit.reserved_usd == limit.excess_usd == 0
    for result, call in zip(results, calls, strict=True):
        if isinstance(result, SpendingLimitReached):
            assert call.most > 0
        else:
            assert result is None or isinstance(result, BackendUnavailable | asyncio.CancelledError)
    assert not limit._waiting


def admitted(limit: SpendingLimit, *sizes: int) -> list[str]:
    """What became of calls of these sizes that come at the same moment and cost nothing in the end."""
    ends: list[str] = []

    async def make(size: int) -> None:
        try:
            async with limit.reserve(size * MILLI):
                await asyncio.sleep(1)
        except SpendingLimitReached:
            ends.append(f"{size} refused")
        else:
            ends.append(f"{size} made")

    async def gather_or_cancel() -> None:
        await asyncio.gather(*(make(size) for size in sizes))

    run_virtually(gather_or_cancel())
    return ends


def test_waiters_are_served_in_fifo_order_and_none_overtakes() -> None:
    assert admitted(SpendingLimit(5 * MILLI), 4, 3, 1, 2) == ["4 made", "3 made", "1 made", "2 made"]


def test_a_call_that_can_never_fit_is_refused_once_nothing_is_open() -> None:
    assert admitted(SpendingLimit(5 * MILLI), 4, 9, 1) == ["4 made", "9 refused", "1 made"]
    assert admitted(SpendingLimit(5 * MILLI), 6, 5) == ["6 refused", "5 made"]


def test_what_was_spent_before_counts() -> None:
    limit = SpendingLimit(5 * MILLI, spent_usd=3 * MILLI)
    assert admitted(limit, 3, 2) == ["3 refused", "2 made"]
    with pytest.raises(SpendingLimitReached, match=r"\$0\.003000 of \$0\.005 are spent, and the next call can cost"):
        run_virtually(asyncio.wait_for(limit.reserve(3 * MILLI).__aenter__(), 1))


@pytest.mark.parametrize("usd", ["0", "-1", "NaN", "Infinity"])
def test_a_limit_that_is_no_amount_is_refused(usd: str) -> None:
    with pytest.raises(ConfigError, match="max_usd"):
        SpendingLimit(Decimal(usd))


def test_a_payment_above_its_reservation_is_counted_and_later_reservations_grow() -> None:
    class Greedy(ScriptedModel):
        def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
            return Usage(output_tokens=2)

    model = Greedy("g", [Say("a", tokens=6), Say("b", tokens=1)])
    price = Price(input=Decimal(0), output=Decimal(1000))
    limit = SpendingLimit(10 * MILLI)
    writer = limited(Roles(models={"weak": ModelRole(model=model, price=price)}), limit).model("weak")
    asyncio.run(writer.model.propose(Prefix(problem=PROBLEM), 1))
    assert (limit.spent_usd, limit.excess_usd) == (6 * MILLI, 4 * MILLI)
    with pytest.raises(SpendingLimitReached, match="up to \\$0.006"):
        asyncio.run(writer.model.propose(Prefix(problem=PROBLEM), 1))


def test_prices_that_are_not_set_are_named_with_the_remedy() -> None:
    model = ScriptedModel("m", [])
    roles = Roles(models={"weak": ModelRole(model=model), "strong": ModelRole(model=model, price=UNSET)})
    with pytest.raises(ConfigError, match=r"models\.strong has no price.*below \[models\.strong\]"):
        check_priced(roles)
    confidence = ScorerRole(scorer=ConfidenceScorer("c"), price=UNSET)
    check_priced(Roles(models={"weak": ModelRole(model=model)}, scorers={"prm": confidence}))


def bound_to_a_limit(stage: Stage, usd: str) -> SpendingLimit:
    limit = SpendingLimit(Decimal(usd))
    stage.roles = limited(stage.roles, limit)
    return limit


def test_retries_cancelled_calls_and_scores_are_paid_as_they_are_billed() -> None:
    down = BackendUnavailable("down")
    stage = Stage([Fail(down, 3), Say("a", 4), Say("b", 2)], [Say("so \\boxed{1}", 6)], [0.9, 0.1])
    limit = bound_to_a_limit(stage, "1")
    trace = stage.solve(stepwise(), Limits(retries=1))
    assert trace.outcome is Outcome.ANSWERED
    assert trace.generated_tokens("weak", Purpose.RETRY) == 3
    assert limit.spent_usd == trace.cost_usd
    hanging = Stage([Say("a", 4), Hang(3)])
    limit = bound_to_a_limit(hanging, "1")
    trace = hanging.solve(Single("weak"), Limits(retries=0, deadline_s=0.05, max_steps=9))
    hung = hanging.solve(stepwise(), Limits(retries=0, deadline_s=0.05))
    assert hung.outcome is Outcome.DEADLINE
    assert hung.generated_tokens("weak", Purpose.CANCELLED) == 3
    assert limit.spent_usd == trace.cost_usd + hung.cost_usd


def test_a_problem_that_meets_the_limit_ends_as_cancelled_with_its_bills() -> None:
    stage = Stage([Say("a"), Say("b")])
    a_call = WEAK_PRICE.most(most_written(stage.weak, Prefix(problem=PROBLEM), 1, Sampling()))
    bound_to_a_limit(stage, str(a_call))
    with pytest.raises(SpendingLimitReached):
        stage.solve(stepwise())
    trace = stage.events[-1].trace  # type: ignore[union-attr]
    assert trace.outcome is Outcome.CANCELLED
    assert trace.generated_tokens("weak") == 5


class Slow(ScriptedModel):
    """Writes the same step for as long as a call lasts."""

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        await asyncio.sleep(1)
        return await super().propose(prefix, n, sampling, meter)


def test_a_speculative_draft_is_dropped_instead_of_waiting() -> None:
    stage = Stage()
    weak = Slow("w", [Say(letter) for letter in "abc"])
    roles = Roles(
        models={"weak": ModelRole(model=weak, price=WEAK_PRICE)}, scorers={"prm": ScorerRole(scorer=stage.prm)}
    )
    a_call = WEAK_PRICE.most(most_written(weak, Prefix(problem=PROBLEM), 1, Sampling()))
    limit = SpendingLimit(a_call * Decimal("1.5"))
    limiter = Limiter(LimiterSettings(in_flight=4, failures_to_open=1))
    roles = Roles(models={"weak": ModelRole(model=weak, price=WEAK_PRICE, limiter=limiter)}, scorers=roles.scorers)
    alone = Episode(PROBLEM, limited(roles, SpendingLimit(None)), route="t", limits=Limits(max_steps=3, retries=0))
    strategy = Pipelined(policy=RandomRouting.at(0.0, 0), lookahead=3)
    free = run_virtually(alone.run(strategy))
    weak.replies.extend(Say(letter) for letter in "abc")
    weak.replies = type(weak.replies)(Say(letter) for letter in "abc")
    bounded = run_virtually(
        Episode(PROBLEM, limited(roles, limit), route="t", limits=Limits(max_steps=3, retries=0)).run(strategy)
    )
    assert [step.text for step in bounded.steps] == [step.text for step in free.steps] == ["a", "b", "c"]
    assert limit.spent_usd == bounded.cost_usd


def whole_run(path: Path, roles: Roles, problems: Sequence[object] = LAB) -> None:
    routes = [Route(name=f"t={at}", strategy=Stepwise(policy=Threshold(at))) for at in (0.2, 0.8)]
    with TraceFile(path) as traces:
        work = [(route, problem) for problem in problems for route in routes]
        asyncio.run(run(work, roles, RunSettings(in_flight=4), traces))  # type: ignore[arg-type]


def test_a_run_stops_below_the_limit_and_goes_on_with_a_higher_one_to_the_same_end(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    for usd in ("0.002", "0.003", "1"):
        with TraceFile(path) as traces:
            limit = SpendingLimit(Decimal(usd), spent_usd=traces.spent_usd)
        before = limit.spent_usd
        if usd == "1":
            whole_run(path, limited(lab_roles(), limit))
        else:
            with pytest.raises(SpendingLimitReached):
                whole_run(path, limited(lab_roles(), limit))
            assert before < limit.spent_usd <= Decimal(usd)
        with TraceFile(path) as traces:
            assert traces.spent_usd == limit.spent_usd
    whole_run(tmp_path / "undisturbed.zst", lab_roles())
    one, other = ({(t.route, t.problem_id): t.steps for t in read_traces(tmp_path / f"{name}.zst") if not t.failed}
                  for name in ("t", "undisturbed"))  # fmt: skip
    assert one == other
    assert any(trace.outcome is Outcome.CANCELLED for trace in read_traces(path))


def test_an_answer_from_the_tree_is_billed_and_not_paid(tmp_path: Path) -> None:
    limit = SpendingLimit(Decimal(1))
    with StepTree(tmp_path / "tree", 4) as tree:
        roles = tree.roles(limited(lab_roles(), limit))
        whole_run(tmp_path / "a.zst", roles)
        paid = limit.spent_usd
        whole_run(tmp_path / "b.zst", roles)
    assert limit.spent_usd == paid > 0
    with StepTree(tmp_path / "tree", 4) as tree:
        whole_run(tmp_path / "c.zst", tree.roles(limited(lab_roles(), SpendingLimit(Decimal("0.00000001")))))
    with TraceFile(tmp_path / "c.zst") as traces:
        assert traces.spent_usd > 0


@pytest.mark.parametrize("make_roles", [lab_roles, trim_world_roles])
def test_embedded_models_never_use_more_than_their_bound(make_roles: Callable[[], Roles]) -> None:
    from steproute.evaluation.datasets import load_problems

    roles = make_roles()
    problem = load_problems("lab" if make_roles is lab_roles else "trim-world", 1)[0]

    async def check() -> None:
        prefix = Prefix(problem=problem)
        for seed in range(6):
            for writer in roles.models.values():
                sampling = Sampling(**{**asdict_of(writer.sampling), "seed": seed})
                most = most_written(writer.model, prefix, 1, sampling)
                (draft,) = await writer.model.propose(prefix, 1, sampling)
                assert draft.usage.read_tokens <= most.input_tokens
                assert draft.usage.output_tokens <= most.output_tokens
            prefix = prefix.extended(Step(role="weak", text=draft.text, tokens=draft.usage.output_tokens))
            for role, judge in roles.scorers.items():
                scores = await judge.scorer.score(prefix)
                assert scores.usage.read_tokens <= most_scored(judge.scorer, prefix).read_tokens
                assert (scores.usage.read_tokens > 0) == (role != "checker")
            if prefix.answer is not None:
                break

    asyncio.run(check())


def asdict_of(sampling: Sampling) -> dict[str, object]:
    return {name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "max_tokens", "stop")}


class Honest(HostileServer):
    """Counts a token per byte of all that was said, as the worst tokenizer would, and words that it wrote."""

    def _usage(self, request: Asked) -> dict[str, int]:
        said = self._said(request.body)
        return {"prompt_tokens": len(said.encode()) + 9 * 40, "completion_tokens": request.generated}


@pytest.mark.parametrize(
    "continuation", [Continuation.COMPLETIONS, Continuation.CONTINUE_FINAL_MESSAGE, Continuation.INSTRUCT]
)
@pytest.mark.parametrize("fault", [None, Fault.EARLY_END, Fault.SERVER_ERROR])
def test_servers_are_never_paid_more_than_was_reserved(
    continuation: Continuation, fault: Fault | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    asked = 0

    def decide(request: Asked) -> Fault | None:
        nonlocal asked
        asked += request.path.endswith("completions")
        return fault if asked % 3 == 0 else None

    server, limit = Honest(decide), SpendingLimit(Decimal("0.5"))

    async def solve() -> list[object]:
        async with server.running():
            writer = writer_of(server, continuation=continuation, template="none")
            roles = limited(Roles(models={"weak": ModelRole(model=writer.model, price=STRONG_PRICE)}), limit)
            plain = Stepwise(policy=RandomRouting.at(0.0, 0))
            episodes = [Episode(PROBLEM, roles, route="t", seed=seed, limits=Limits(retries=5)) for seed in range(3)]
            return list(await asyncio.gather(*(episode.run(plain) for episode in episodes)))

    traces = asyncio.run(solve())
    assert limit.excess_usd == 0
    assert limit.spent_usd == sum((trace.cost_usd for trace in traces), Decimal(0)) > 0  # type: ignore[attr-defined]


def test_the_journal_of_payments_survives_a_torn_line_and_counts_each_once(tmp_path: Path) -> None:
    path = tmp_path / "tree.paid"
    with PaidJournal(path) as journal:
        assert journal.is_new
        journal.enter(Decimal("0.25"))
        journal.enter(Decimal("0.5"))
        assert path.read_text() == "0.25\n0.5\n"
    assert path.read_text() == "0.75\n"
    with path.open("a") as file:
        file.write("0.125\n0.1")
    for _ in range(2):
        with PaidJournal(path) as journal:
            assert (journal.is_new, journal.paid_usd) == (False, Decimal("0.875"))
    path.write_text("x\n")
    from steproute.core.errors import DatasetError

    with pytest.raises(DatasetError, match="damaged"):
        PaidJournal(path)
    assert path.read_text() == "x\n"


class Greedy:
    """Writes all tokens that it may; `asked` are how many that were."""

    name = "greedy"

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        self.asked.append(sampling.max_tokens)
        usage = Usage(input_tokens=7, output_tokens=sampling.max_tokens)
        return [Draft(model=self.name, text="s", stop=Stop.LENGTH, usage=usage)]


@given(st.integers(1, 40_000), st.integers(1, 5_000), st.integers(0, 20), st.integers(1, 5))
def test_a_call_gets_the_tokens_that_its_limit_pays_for(micro: int, tokens: int, output: int, calls: int) -> None:
    limit, model = SpendingLimit(Decimal(micro) / 1_000_000), Greedy()
    price = Price(input=Decimal(1), output=Decimal(output))
    roles = limited(Roles(models={"strong": ModelRole(model=model, price=price)}), limit, shrinks=True)
    prefix, sampling = Prefix(problem=PROBLEM), Sampling(max_tokens=tokens)
    reading = most_written(model, prefix, 1, Sampling(max_tokens=1)).input_tokens

    async def write() -> None:
        for _ in range(calls):
            await roles.models["strong"].model.propose(prefix, 1, sampling)

    try:
        asyncio.run(write())
    except SpendingLimitReached:
        left = limit.max_usd - limit.spent_usd if limit.max_usd is not None else Decimal(0)
        assert left * 1_000_000 < reading + output  # not even one token fits
    assert limit.excess_usd == 0
    assert limit.spent_usd * 1_000_000 <= micro
    assert all(1 <= asked <= tokens for asked in model.asked)
