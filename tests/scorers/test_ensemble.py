"""Scorers combined: by themselves, and as the judge of an episode with one account line a model call."""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.scripted import Say, ScriptedModel

from steproute.core.errors import BackendUnavailable, ConfigError, ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Outcome, Prefix, Scores, Step
from steproute.core.trace import Trace
from steproute.core.usage import Price, Purpose, Usage
from steproute.engine import metering
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.engine.step_tree import StepTree
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.calibrated import CalibratedScorer, Temperature
from steproute.scorers.confidence import ConfidenceScorer
from steproute.scorers.ensemble import EnsembleScorer, EnsembleSettings
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

PROBLEM = Problem.ask(id="p", text="A riddle.")


@dataclass
class Member:
    """Gives the newest step `value`, and at each call uses `reads` and does what its plan says."""

    name: str
    value: float = 0.5
    reads: int = 7
    plan: list[str] = field(default_factory=list)
    used: list[Usage] = field(default_factory=list)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        does = self.plan.pop(0) if self.plan else "answer"
        usage = Usage(input_tokens=self.reads, output_tokens=len(self.used))
        self.used.append(usage)
        assert meter is not None
        meter.usage = usage
        await asyncio.sleep(0)
        if does == "break":
            raise BackendUnavailable(f"{self.name}: broke off")
        if does == "fail":
            raise ScorerError(f"{self.name}: no score")
        if does == "hang":
            await asyncio.Event().wait()
        count = len(prefix.steps) - (does == "miscount")
        value = 0.0 if does == "reject" else self.value
        return Scores(values=(value,) * count, model=self.name, usage=usage)


def prefix_of(count: int) -> Prefix:
    return Prefix(problem=PROBLEM, steps=(Step(role="weak", text="a", tokens=1),) * count)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({}, 0.6),
        ({"combine": "min"}, 0.4),
        ({"combine": "product"}, 0.32),
        ({"combine": "weighted", "weights": (1, 3)}, 0.7),
    ],
)
def test_members_are_combined_step_by_step(settings: dict[str, Any], value: float) -> None:
    ensemble = EnsembleScorer("both", [Member("a", 0.4), Member("b", 0.8)], EnsembleSettings(**settings))
    scores = asyncio.run(ensemble.score(prefix_of(3)))
    assert scores.values == pytest.approx((value,) * 3)
    assert scores.usage == Usage(input_tokens=14)
    assert [call.usage.input_tokens for call in scores.calls] == [7, 7]


@pytest.mark.parametrize(
    ("members", "settings", "message"),
    [
        ([], {}, "of: is empty"),
        ([Member("a")], {"combine": "weighted", "weights": (1.0, 2.0)}, "2 for 1 members"),
        ([Member("a")], {"combine": "weighted"}, "'weighted' alone needs them"),
        ([Member("a")], {"weights": (1.0,)}, "'weighted' alone needs them"),
        ([Member("a")], {"combine": "weighted", "weights": (0.0,)}, "not above 0"),
    ],
)
def test_impossible_settings_are_rejected(members: list[Member], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EnsembleScorer("e", members, EnsembleSettings(**settings))


def test_members_of_a_scorer_that_combines_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="does not combine scorers"):
        ScorerRole(scorer=Member("a"), members={"b": ScorerRole(scorer=Member("b"))})


def test_usage_is_complete_if_a_member_fails() -> None:
    meter = Meter()
    ensemble = EnsembleScorer("both", [Member("a", plan=["hang"]), Member("b", plan=["fail"])])
    with pytest.raises(ScorerError, match="b: no score"):
        asyncio.run(ensemble.score(prefix_of(1), meter))
    assert meter.total == Usage(input_tokens=14)


def test_members_that_disagree_on_the_number_of_steps_are_an_error() -> None:
    ensemble = EnsembleScorer("both", [Member("a"), Member("b", plan=["miscount"])])
    with pytest.raises(ScorerError, match="3 by a, 2 by b"):
        asyncio.run(ensemble.score(prefix_of(3)))


def priced(members: list[Member], **settings: Any) -> ScorerRole:
    prices = [Price(input=Decimal(n + 1), output=Decimal(10 * n + 1), table=f"t{n}") for n in range(len(members))]
    judges = {each.name: ScorerRole(scorer=each, price=price) for each, price in zip(members, prices, strict=True)}
    return ScorerRole(scorer=EnsembleScorer("all", members, EnsembleSettings(**settings)), members=judges)


def solve(judge: ScorerRole, limits: Limits, cancel: bool = False) -> Trace:
    async def run() -> Trace:
        traces: list[Trace] = []
        writer = ModelRole(model=ScriptedModel("w", []))
        episode = Episode(
            PROBLEM,
            Roles(models={"weak": writer, "strong": writer}, scorers={"prm": judge}),
            route="t",
            limits=limits,
            on_event=lambda event: traces.append(event.trace) if hasattr(event, "trace") else None,
        )
        task = asyncio.create_task(episode.run(Stepwise(policy=Threshold(0.1))))
        for _ in range(10 if cancel else 0):
            await asyncio.sleep(0)
        if cancel:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return traces[0]

    return asyncio.run(run())


PLANS = st.lists(
    st.tuples(st.integers(1, 10**6), st.lists(st.sampled_from(["answer", "break", "fail", "miscount"]), max_size=4)),
    min_size=1,
    max_size=4,
)


@given(plans=PLANS, cancel=st.booleans())
def test_every_call_of_every_member_is_one_line_at_its_own_price(
    plans: list[tuple[int, list[str]]], cancel: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "_BACKOFF_S", 0.0)
        members = [Member(f"m{n}", reads=reads, plan=list(plan)) for n, (reads, plan) in enumerate(plans)]
        if cancel:
            members[0].plan = ["hang"]
        judge = priced(members)
        trace = solve(judge, Limits(retries=2), cancel)
    for member in members:
        lines = [line for line in trace.account if line.role == member.name]
        price = judge.members[member.name].price
        assert [line.usage for line in lines] == member.used
        assert [line.cost_usd for line in lines] == [price.cost(usage) for usage in member.used]
        assert {line.price_table for line in lines} <= {price.table}
    expected = sum((judge.members[m.name].price.cost(usage) for m in members for usage in m.used), Decimal(0))
    assert trace.cost_usd == expected
    assert not [line for line in trace.account if line.role == "prm"]


@given(plan=st.lists(st.sampled_from(["answer", "reject", "break"]), max_size=8))
def test_speculation_neither_loses_nor_doubles_a_members_line(plan: list[str]) -> None:
    members = [Member("a", plan=list(plan)), Member("b", reads=9)]
    steps = [Say(f"step {n}") for n in range(9)]
    writers = {role: ModelRole(model=ScriptedModel(role, steps)) for role in ("weak", "strong")}
    roles = Roles(models=writers, scorers={"prm": priced(members, combine="min")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "_BACKOFF_S", 0.0)
        episode = Episode(PROBLEM, roles, route="t", limits=Limits(retries=9))
        trace = asyncio.run(episode.run(Pipelined(policy=Threshold(0.1))))
    assert trace.outcome is Outcome.ANSWERED
    for member in members:
        lines = [line for line in trace.account if line.role == member.name]
        assert sorted(line.usage.output_tokens for line in lines) == list(range(len(member.used)))
        assert {line.usage.input_tokens for line in lines} == {member.reads}


def test_a_member_that_breaks_off_is_asked_again_alone() -> None:
    members = [Member("a"), Member("b", plan=["break"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "_BACKOFF_S", 0.0)
        trace = solve(priced(members), Limits())
    assert trace.outcome is Outcome.ANSWERED
    assert [(line.role, line.purpose) for line in trace.account if line.role != "weak"] == [
        *(("a", Purpose.SCORE), ("b", Purpose.RETRY), ("b", Purpose.SCORE)),
    ]


def test_an_ensemble_can_be_calibrated_as_a_whole() -> None:
    judge = priced([Member("a", 0.4), Member("b", 0.8)])
    calibrated = ScorerRole(scorer=CalibratedScorer(judge.scorer, Temperature(0.5)), members=judge.members)
    trace = solve(calibrated, Limits())
    assert trace.steps[0].score == pytest.approx(0.6**2 / (0.6**2 + 0.4**2))
    assert {line.role for line in trace.account} == {"weak", "a", "b"}


def test_a_member_with_too_few_scores_is_an_error_and_is_billed() -> None:
    trace = solve(priced([Member("a"), Member("b", plan=["miscount"])]), Limits())
    assert trace.error == "ScorerError: b: gave 0 scores for 1 steps. Return one for each step."
    assert {line.role for line in trace.account} == {"weak", "a", "b"}


def test_a_step_tree_keeps_what_members_say_and_leaves_confidence_to_the_steps(tmp_path: Path) -> None:
    members = [Member("a", 0.4), Member("b", 0.8)]
    judge = priced(members)
    sure = ScorerRole(scorer=ConfidenceScorer("sure"))
    with StepTree(tmp_path / "tree", 1) as tree:
        judges = tree.roles(Roles(models={}, scorers={"prm": judge, "sure": sure})).scorers
        first, second = (solve(judges["prm"], Limits()) for _ in range(2))
    assert judges["sure"] is sure
    assert first.steps[0].score == second.steps[0].score == pytest.approx(0.6)
    assert [len(member.used) for member in members] == [1, 1]
    assert [line.role for line in second.account] == ["weak", "a", "b"]
