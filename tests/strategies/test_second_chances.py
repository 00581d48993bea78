"""Second chances: rungs between the weak model and the next one, each with its threshold and its bill."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.engine.test_episode import Say, Stage, check_law

from steproute import Accept, Problem, Rewrite
from steproute.artifacts import write_artifact
from steproute.core.errors import ConfigError
from steproute.engine.episode import Episode
from steproute.policies.trim.ladder import LadderThreshold
from steproute.policies.trim.rung_table import RungTable
from steproute.policies.trim.threshold import Threshold
from steproute.retrieval.example_bank import Example, ExampleBank, bank_artifact, origin_of
from steproute.strategies.second_chances import SecondChances

OTHER = Problem.ask("Another problem?")


def chances(*thresholds: float, width: int = 2) -> SecondChances:
    return SecondChances(policy=LadderThreshold(thresholds), width=width)


def test_a_low_draft_is_resampled_and_the_best_further_draft_is_kept() -> None:
    stage = Stage([Say("a"), Say("b"), Say("c \\boxed{1}")], [], [0.1, 0.3, 0.9])
    trace = stage.solve(chances(0.5))
    assert [(step.role, step.text, step.decision) for step in trace.steps] == [("weak", "c \\boxed{1}", Accept())]
    assert trace.generated_tokens("strong") == 0
    check_law(stage, trace)


def test_strong_writes_the_step_only_if_no_further_draft_is_good_enough() -> None:
    stage = Stage([Say("a"), Say("b"), Say("c")], [Say("s \\boxed{1}")], [0.1, 0.3, 0.2])
    trace = stage.solve(chances(0.5))
    assert [(step.role, step.text, step.decision) for step in trace.steps] == [
        ("strong", "s \\boxed{1}", Rewrite("strong"))
    ]
    assert trace.steps[0].rejected == "b"
    assert trace.steps[0].rejected_score == 0.3
    check_law(stage, trace)


def test_each_rung_has_its_own_threshold() -> None:
    stage = Stage([Say("a"), Say("b"), Say("c \\boxed{1}")], [], [0.6, 0.3, 0.4])
    trace = stage.solve(chances(0.7, 0.4))
    assert [step.role for step in trace.steps] == ["weak"]


def test_a_policy_without_rungs_goes_straight_to_strong() -> None:
    stage = Stage([Say("a")], [Say("s \\boxed{1}")], [0.1])
    assert [step.role for step in stage.solve(SecondChances(policy=Threshold(0.5))).steps] == ["strong"]


@pytest.fixture
def bank(tmp_path: Path) -> str:
    examples = [Example(problem=OTHER.text, step="So 20 + 4 = 24.", origin=origin_of(OTHER))]
    write_artifact(bank_artifact(ExampleBank.of(examples), {}), tmp_path / "bank")
    return str(tmp_path / "bank")


def test_a_low_draft_is_written_again_with_a_solved_step_in_view(bank: str) -> None:
    stage = Stage([Say("So 20 + 4 = 24."), Say("So 24 \\boxed{1}")], [], [0.1, 0.9])
    trace = stage.solve(SecondChances(policy=LadderThreshold((0.5,)), rungs=("retry",), bank=bank))
    assert [bool(prefix.advice) for prefix, _ in stage.weak.asked] == [False, True]
    assert [(step.role, step.text) for step in trace.steps] == [("weak", "So 24 \\boxed{1}")]
    check_law(stage, trace)


def test_a_draft_without_an_example_climbs_on_and_is_not_scored_again(bank: str) -> None:
    stage = Stage([Say("Hm.")], [Say("s \\boxed{1}")], [0.1])
    trace = stage.solve(SecondChances(policy=LadderThreshold((0.5,)), rungs=("retry",), bank=bank))
    assert [step.role for step in trace.steps] == ["strong"]
    assert stage.prm.read == 7
    check_law(stage, trace)


@pytest.mark.parametrize("rungs", [(), ("repeat",), ("resample", "resample"), ("retry",)])
def test_unknown_rungs_are_refused(rungs: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="rungs|bank"):
        SecondChances(policy=Threshold(0.5), rungs=rungs)


def test_the_same_text_by_another_author_is_scored_by_itself() -> None:
    stage = Stage([Say("a")], [Say("a")], [0.1, 0.9])

    async def scored() -> list[tuple[float, ...] | None]:
        episode = Episode(stage.problem, stage.roles, route="test")
        start = episode.start()
        drafts = [await episode.propose(role, start) for role in ("weak", "strong")]
        return [await episode.score(start, draft) for draft in (*drafts, drafts[1])]

    assert asyncio.run(scored()) == [(0.1,), (0.9,), (0.9,)]


def table(*weak: int, width: int = 2) -> RungTable:
    """Of weak, resample, strong: who writes after a low and a high score of the weak model; else drafts are kept."""
    actions = np.tile(np.arange(2)[:, None], (3, 1, 2))
    actions[:, 0] = weak
    return RungTable(("weak", "resample", "strong"), np.array([0.5]), actions, width=width)


def test_a_table_decides_about_each_rung() -> None:
    stage = Stage([Say("a"), Say("b \\boxed{1}"), Say("c")], [], [0.1, 0.3, 0.2])
    trace = stage.solve(SecondChances(policy=table(1, 0), width=2))
    assert [(step.role, step.text) for step in trace.steps] == [("weak", "b \\boxed{1}")]
    check_law(stage, trace)


def test_a_role_that_a_table_names_takes_over_to_the_end() -> None:
    stage = Stage([Say("a")], [Say("s\n\nt \\boxed{1}")], [0.1])
    trace = stage.solve(SecondChances(policy=table(5, 0), width=2))
    assert [step.role for step in trace.steps] == ["strong", "strong"]
    check_law(stage, trace)


def test_a_table_needs_the_width_that_it_was_fitted_to() -> None:
    with pytest.raises(ConfigError, match=r"width: 4 drafts, .* fitted to 2. Leave width out"):
        SecondChances(policy=table(1, 0), width=4)
    assert SecondChances(policy=table(1, 0)).drafts == 2
