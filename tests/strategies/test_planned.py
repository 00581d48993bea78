"""MPPA: when plans are gathered, what merges them, and what is paid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.test_episode import Say, Stage, check_law

from steproute import Prefix, Problem, Purpose
from steproute.core.errors import ConfigError
from steproute.core.solution import Step
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.planning import Schedule, is_plan
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.planned import Merge, Planned

KEEP = RandomRouting(0.0)


def planned(merge: Merge, **settings: object) -> Planned:
    return Planned(**{"policy": KEEP, "merge": merge, "plans": 3, **settings})  # type: ignore[arg-type]


def test_the_aggregator_writes_one_step_having_read_the_plans_which_are_discarded() -> None:
    stage = Stage([Say("a", 4), Say("b", 4), Say("a", 4)], [Say("merged \\boxed{1}", 6)])
    trace = stage.solve(planned("write"))
    assert [(step.role, step.text) for step in trace.steps] == [("strong", "merged \\boxed{1}")]
    (asked, _), *_ = stage.strong.asked
    assert asked.advice.plans == ("a", "b")
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 12
    check_law(stage, trace)


def test_equal_plans_need_no_merging() -> None:
    stage = Stage([Say("a \\boxed{1}")] * 3, [])
    trace = stage.solve(planned("write"))
    assert [(step.role, step.text) for step in trace.steps] == [("weak", "a \\boxed{1}")]
    assert not stage.strong.asked


def test_a_vote_takes_the_most_frequent_plan() -> None:
    stage = Stage([Say("a"), Say("b \\boxed{1}"), Say("b \\boxed{1}")], [])
    trace = stage.solve(planned("vote"))
    assert [step.text for step in trace.steps] == ["b \\boxed{1}"]
    check_law(stage, trace)


def test_a_judge_takes_the_plan_that_it_likes_best() -> None:
    stage = Stage([Say("a"), Say("b \\boxed{1}"), Say("c")], [], [0.1, 0.9, 0.2])
    trace = stage.solve(planned("judge"))
    assert [step.text for step in trace.steps] == ["b \\boxed{1}"]
    check_law(stage, trace)


def test_the_policy_decides_about_the_merged_step() -> None:
    stage = Stage([Say("a"), Say("b"), Say("b")], [Say("s \\boxed{1}")], [0.1])
    trace = stage.solve(planned("vote", policy=Threshold(0.5)))
    assert [(step.role, step.rejected) for step in trace.steps] == [("strong", "b")]


def test_between_gatherings_the_weak_model_writes_alone() -> None:
    stage = Stage([*[Say("a", 5)] * 3, Say("b", 5), Say("c \\boxed{1}", 5)], [])
    trace = stage.solve(planned("vote", gap=1000))
    assert [step.text for step in trace.steps] == ["a", "b", "c \\boxed{1}"]
    assert trace.steps[0].width == 3
    assert trace.steps[1].width is None


def test_only_planning_steps_are_merged_if_the_route_says_so() -> None:
    stage = Stage([Say("12 + 3 = 15 \\boxed{1}"), Say("b"), Say("c")], [])
    assert [step.role for step in stage.solve(planned("write", every_step=False)).steps] == ["weak"]


@pytest.mark.parametrize(
    ("text", "plans"), [("Let me see.", True), ("Wait, no.", True), ("Waiting is 3.", False), ("3 + 4 = 7", False)]
)
def test_planning_steps_are_known_by_how_they_begin(text: str, plans: bool) -> None:
    assert is_plan(text) is plans


@given(st.integers(0, 5000), st.integers(1, 400))
def test_the_further_on_the_rarer(position: int, gap: int) -> None:
    prefix = Prefix(problem=Problem.ask("?", id="p"), steps=(Step(role="weak", text="x", tokens=position),))
    schedule = Schedule(gap)
    assert schedule.is_due(prefix, None)
    assert schedule.is_due(prefix, 0) == (position >= gap * (1 + position / 400))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="plans"):
        planned("vote", plans=1)
    with pytest.raises(ConfigError, match="gap"):
        planned("vote", gap=-1)
