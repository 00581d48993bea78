"""A ladder of three models: who writes a step, who is scored, and that every token is on one line."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_episode import (
    PROBLEM,
    WEAK_PRICE,
    Fail,
    Say,
    ScriptedModel,
    Stage,
    limits,
    replies,
)
from tests.test_config_file import WHOLE, written

from steproute import Accept, Decision, ModelRole, Observation, Price, Purpose, Rewrite
from steproute.config import read_config, read_setup
from steproute.core.errors import BackendUnavailable, ConfigError
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles, ScorerRole
from steproute.policies.trim.ladder import LadderThreshold
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

MID_PRICE = Price(input=Decimal(1), output=Decimal(4))
LADDER = ("weak", "mid", "strong")


class ThreeModels(Stage):
    """A stage with a model between weak and strong."""

    def __init__(self, weak: list[object], mid: list[object], strong: list[object], scores: list[float | None]) -> None:
        super().__init__(weak, strong, scores)  # type: ignore[arg-type]
        self.mid = ScriptedModel("m", mid)  # type: ignore[arg-type]
        self.roles = Roles(
            models={**self.roles.models, "mid": ModelRole(model=self.mid, price=MID_PRICE)},
            scorers={"prm": ScorerRole(scorer=self.prm, price=WEAK_PRICE)},
            ladder=LADDER,
        )


def check_tokens(stage: ThreeModels, trace: Trace) -> None:
    """Each model's tokens are accepted, discarded, cancelled or retried, and nothing else."""
    for role, model in (("weak", stage.weak), ("mid", stage.mid), ("strong", stage.strong)):
        assert model.generated == sum(trace.generated_tokens(role, purpose) for purpose in Purpose)
        assert trace.generated_tokens(role, Purpose.ACCEPTED) == sum(s.tokens for s in trace.steps if s.role == role)
    assert stage.prm.read == sum(line.usage.read_tokens for line in trace.account if line.role == "prm")


def test_a_step_climbs_until_it_scores_enough_or_the_strong_model_has_written_it() -> None:
    weak = [Say("bad"), Say("fine"), Say("bad again")]
    stage = ThreeModels(weak, [Say("better"), Say("no better")], [Say("best \\boxed{1}")], [0.2, 0.9, 0.9, 0.1, 0.3])
    trace = stage.solve(Stepwise(policy=LadderThreshold((0.5,))))
    assert [(step.role, step.text) for step in trace.steps] == [
        ("mid", "better"),
        ("weak", "fine"),
        ("strong", "best \\boxed{1}"),
    ]
    assert [step.decision for step in trace.steps] == [Accept(), Accept(), Rewrite("strong")]
    check_tokens(stage, trace)


def test_each_rung_has_its_own_threshold() -> None:
    stage = ThreeModels([Say("w")], [Say("m \\boxed{1}")], [], [0.6, 0.4])
    trace = stage.solve(Stepwise(policy=LadderThreshold((0.7, 0.3))))
    assert [step.role for step in trace.steps] == ["mid"]


def test_a_failed_rung_leaves_the_draft_if_the_limits_say_so() -> None:
    stage = ThreeModels([Say("w \\boxed{1}")], [Fail(BackendUnavailable("down"), 0)], [], [0.1])
    trace = stage.solve(Stepwise(policy=LadderThreshold((0.5,))), Limits(retries=0, on_strong_failure="accept"))
    assert [step.role for step in trace.steps] == ["weak"]
    assert [fallback.role for fallback in trace.fallbacks] == ["mid"]


class NamesAnyRole:
    """A policy that has each step written by a role at random, several at a time."""

    def __init__(self, decisions: list[Decision], scores_rewrites: bool) -> None:
        self.decisions, self.scores_rewrites = decisions, scores_rewrites

    def decide(self, observation: Observation) -> Decision:
        assert observation.ladder == LADDER
        return self.decisions.pop() if self.decisions else Accept()


decisions = st.one_of(st.just(Accept()), st.builds(Rewrite, st.sampled_from(LADDER), st.none() | st.integers(1, 3)))


@settings(max_examples=120, deadline=None)
@given(
    weak=replies,
    mid=replies,
    strong=replies,
    scores=st.lists(st.none() | st.floats(0, 1)),
    decided=st.lists(decisions, max_size=8),
    scored=st.booleans(),
    pipelined=st.booleans(),
    bounds=limits,
)
def test_every_token_of_three_models_is_on_one_line_whatever_is_decided(
    weak: list[object],
    mid: list[object],
    strong: list[object],
    scores: list[float | None],
    decided: list[Decision],
    scored: bool,
    pipelined: bool,
    bounds: Limits,
) -> None:
    stage = ThreeModels(weak, mid, strong, scores)
    policy = NamesAnyRole(list(decided), scored)
    strategy = Pipelined(policy=policy, lookahead=2, hedge=1.0) if pipelined else Stepwise(policy=policy)
    trace = stage.solve(strategy, bounds)
    check_tokens(stage, trace)
    if bounds.max_tokens is not None:
        assert stage.weak.generated + stage.mid.generated + stage.strong.generated <= bounds.max_tokens


@given(st.floats(0, 1), st.floats(0, 1))
def test_with_two_roles_it_is_trim_thr(threshold: float, score: float) -> None:
    stage, other = (Stage([Say("a \\boxed{1}")], [Say("b \\boxed{2}")], [score]) for _ in range(2))
    ladder = stage.solve(Stepwise(policy=LadderThreshold.at(threshold, 0)))
    assert ladder.steps == other.solve(Stepwise(policy=Threshold(threshold))).steps


THREE = WHOLE.replace("[models.strong]", '[models.mid]\nbackend = "lab"\nname = "lab-mid"\n[models.strong]')


def test_the_file_orders_the_ladder(tmp_path: Path) -> None:
    path = written(tmp_path, THREE + '\n[roles]\nladder = ["weak", "mid", "strong"]\n')
    assert read_setup(path).roles.ladder == LADDER
    two = written(tmp_path, THREE)
    assert read_setup(two).roles.ladder == ("weak", "strong")


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        (["weak", "middle", "strong"], "there is no model 'middle'. Describe"),
        (["mid", "weak", "strong"], "is no ladder. Begin with weak"),
        (["weak", "mid"], "is no ladder"),
        (["weak", "mid", "mid", "strong"], "is no ladder"),
    ],
)
def test_a_ladder_that_is_none_is_refused(tmp_path: Path, ladder: list[str], message: str) -> None:
    path = written(tmp_path, THREE + f"\n[roles]\nladder = {ladder}\n")
    with pytest.raises(ConfigError, match=f"roles.ladder: .*{message}"):
        read_config(path).roles()


def test_a_rung_that_costs_more_than_the_next_is_refused(tmp_path: Path) -> None:
    dear = THREE.replace('name = "lab-mid"\n', 'name = "lab-mid"\nprice = { input = 1, output = 900 }\n').replace(
        "[models.strong]\n", "[models.strong]\nprice = { input = 1, output = 2 }\n"
    )
    path = written(tmp_path, dear + '\n[roles]\nladder = ["weak", "mid", "strong"]\n')
    with pytest.raises(ConfigError, match="'mid' costs more per output token than 'strong'"):
        read_config(path).roles()


def test_an_episode_tells_policies_the_ladder() -> None:
    stage = ThreeModels([Say("w \\boxed{1}")], [], [], [0.9])
    seen: list[tuple[str, ...]] = []

    class Sees:
        def decide(self, observation: Observation) -> Decision:
            seen.append(observation.ladder)
            return Accept()

    asyncio.run(Episode(PROBLEM, stage.roles, route="t").run(Stepwise(policy=Sees())))
    assert seen == [LADDER]
