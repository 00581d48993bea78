"""BoostStep: what is looked up, what replaces the try, and what is paid."""

from pathlib import Path

import pytest
from tests.engine.test_episode import Say, Stage, check_law

from steproute import Purpose
from steproute.artifacts import write_artifact
from steproute.config import RunConfig
from steproute.config.route import RouteSettings, build_strategy
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.problem import Problem
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold
from steproute.retrieval.example_bank import Example, ExampleBank, bank_artifact, origin_of
from steproute.strategies.booststep import BoostStep

OTHER = Problem.ask("Another problem?")


@pytest.fixture
def bank(tmp_path: Path) -> str:
    examples = [Example(problem=OTHER.text, step="So 20 + 4 = 24.", origin=origin_of(OTHER))]
    write_artifact(bank_artifact(ExampleBank.of(examples), {}), tmp_path / "bank")
    return str(tmp_path / "bank")


def paper(bank: str) -> BoostStep:
    return BoostStep(policy=RandomRouting(0.0), bank=bank, when="always")


def test_the_second_try_sees_the_solved_step_and_replaces_the_first(bank: str) -> None:
    stage = Stage([Say("So 20 + 4 = 24.", 4), Say("So 24.", 3), Say("\\boxed{1}", 2)])
    trace = stage.solve(paper(bank))
    advice = [prefix.advice.example for prefix, _ in stage.weak.asked]
    assert advice == ["", "Another problem?\n\nSo 20 + 4 = 24.", ""]
    assert [step.text for step in trace.steps] == ["So 24.", "\\boxed{1}"]
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 4
    check_law(stage, trace)


def test_a_step_without_a_near_example_keeps_its_try(bank: str) -> None:
    stage = Stage([Say("Hm.", 4), Say("\\boxed{1}", 2)])
    trace = stage.solve(paper(bank))
    assert [step.text for step in trace.steps] == ["Hm.", "\\boxed{1}"]
    assert len(stage.weak.asked) == 2
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 0


def test_where_the_policy_accepts_the_try_nothing_is_looked_up(bank: str) -> None:
    stage = Stage([Say("So 20 + 4 = 24."), Say("\\boxed{1}")], scores=[0.9, 0.9])
    trace = stage.solve(BoostStep(policy=Threshold(0.5), bank=bank))
    assert [step.text for step in trace.steps] == ["So 20 + 4 = 24.", "\\boxed{1}"]


def test_a_doubtful_step_has_a_second_chance_before_the_strong_model(bank: str) -> None:
    stage = Stage(
        [Say("So 20 + 4 = 24.", 4), Say("better", 3), Say("So 20 + 4 = 24.", 4), Say("no better", 3)],
        [Say("\\boxed{1}", 2)],
        [0.1, 0.8, 0.1, 0.2],
    )
    trace = stage.solve(BoostStep(policy=Threshold(0.5), bank=bank))
    assert [(step.role, step.text) for step in trace.steps] == [("weak", "better"), ("strong", "\\boxed{1}")]
    assert trace.generated_tokens("weak", Purpose.ACCEPTED) == 3
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 11
    check_law(stage, trace)


def test_a_doubtful_step_without_an_example_goes_to_the_strong_model(bank: str) -> None:
    stage = Stage([Say("Hm.")], [Say("\\boxed{1}")], [0.1])
    trace = stage.solve(BoostStep(policy=Threshold(0.5), bank=bank))
    assert [step.role for step in trace.steps] == ["strong"]
    assert len(stage.weak.asked) == 1


def test_a_problem_is_not_shown_its_own_solution(bank: str) -> None:
    stage = Stage([Say("So 20 + 4 = 24."), Say("\\boxed{1}")])
    stage.problem = OTHER
    assert len(stage.solve(paper(bank)).steps) == 2
    assert len(stage.weak.asked) == 2


def test_a_run_keeps_the_digests_of_its_bank(bank: str) -> None:
    route = RouteSettings(strategy="booststep", settings={"bank": bank})
    run = RunConfig(name="r", data="lab", route=route, knobs=(0.5,))
    sweep = run.sweep()
    assert run.selection(sweep, []).artifacts == (bank,)


def test_settings_that_cannot_be_are_refused(bank: str) -> None:
    policy = Threshold(0.5)
    with pytest.raises(ConfigError, match="threshold: 1.5 is outside"):
        BoostStep(policy=policy, bank=bank, threshold=1.5)
    with pytest.raises(ArtifactError, match="bank: .*train --policy example-bank"):
        BoostStep(policy=policy, bank="nowhere")
    with pytest.raises(ConfigError, match="bank"):
        build_strategy("booststep", policy, {})
    with pytest.raises(ConfigError, match="when"):
        build_strategy("booststep", policy, {"bank": bank, "when": "never"})
