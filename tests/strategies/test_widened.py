"""PATS and best-of-n per step."""

from collections.abc import Sequence

import pytest
from tests.engine.scripted import Say
from tests.engine.test_episode import Stage, check_law

from steproute import Draft, Limits, Prefix
from steproute.core.errors import ConfigError
from steproute.policies.modes import Modes, RandomModes
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.widened import BestOfN, Widened

END = Say("so \\boxed{1}", 4)
MODES = Modes()


def widths(stage: Stage) -> list[int]:
    asked: list[int] = []
    for model in (stage.weak, stage.strong):
        propose = model.propose

        async def counted(prefix: Prefix, n: int = 1, *further: object, of: object = propose) -> list[Draft]:
            asked.append(n)
            return await of(prefix, n, *further)  # type: ignore[operator, no-any-return]

        model.propose = counted  # type: ignore[method-assign, assignment]
    return asked


def texts(prefix: str, count: int) -> list[Say]:
    return [Say(f"{prefix}{number}") for number in range(count)]


def solve(replies: Sequence[Say], scores: Sequence[float | None], **settings: object) -> tuple[list[int], list[str]]:
    stage = Stage(replies, [], scores)
    asked = widths(stage)
    trace = stage.solve(Widened(policy=MODES, **settings))  # type: ignore[arg-type]
    check_law(stage, trace)
    return asked, [step.text for step in trace.steps]


def test_each_good_step_makes_the_next_draw_one_mode_simpler() -> None:
    replies = [*texts("a", 8), *texts("b", 4), *texts("c", 2), END, END]
    asked, steps = solve(replies, [0.1] * 7 + [0.9] + [0.2, 0.9, 0.1, 0.1] + [0.9, 0.3])
    assert asked == [8, 4, 2, 2]
    assert steps == ["a7", "b1", "c0", "so \\boxed{1}"]


def test_a_bad_step_is_drawn_again_once_and_then_accepted() -> None:
    asked, steps = solve([*texts("a", 2), *texts("b", 8), *[END] * 8], [0.1, 0.2] + [0.3] * 7 + [0.35], first=0)
    assert asked == [2, 8, 8]
    assert steps[0] == "b7"


def test_equal_candidates_are_scored_once_and_votes_break_a_tie() -> None:
    stage = Stage([Say("a"), Say("b"), Say("b"), Say("b"), END, END], [], [0.9, 0.9])
    trace = stage.solve(Widened(policy=MODES, ladder="weak-2/weak-4"))
    assert (trace.steps[0].text, trace.steps[0].votes, trace.steps[0].width) == ("b", 3, 4)


def test_by_votes_needs_no_judge() -> None:
    stage = Stage([Say("a"), Say("b"), Say("b"), Say("b"), *[END] * 4], [])
    strategy = Widened(policy=MODES, ladder="weak-2/weak-4", by="votes")
    assert strategy.needs.scorers == ()
    assert [step.text for step in stage.solve(strategy).steps] == ["b", "so \\boxed{1}"]
    assert stage.prm.read == 0


def test_a_text_that_was_used_is_not_chosen_again_if_there_is_another() -> None:
    _, steps = solve([Say("a"), Say("a"), Say("b"), END], [0.9, 0.9, 0.3], ladder="weak-1/weak-2", first=0, bad=0.0)
    assert steps[0] == "a"


def test_the_hybrid_ladder_has_strong_on_top() -> None:
    stage = Stage([Say("a"), END], [Say("s"), Say("t")], [0.5, 0.9, 0.9])
    strategy = Widened(policy=MODES, ladder="weak-1/strong-1", first=0)
    trace = stage.solve(strategy)
    assert strategy.needs.models == ("weak", "strong")
    assert [(step.role, step.text) for step in trace.steps] == [
        ("weak", "a"),
        ("strong", "s"),
        ("weak", "so \\boxed{1}"),
    ]
    check_law(stage, trace)


@pytest.mark.parametrize("declared", ["accept", "strong"])
def test_a_scorer_that_fails_is_done_without_as_declared(declared: str) -> None:
    stage = Stage([Say("a"), Say("b"), END, END], [Say("s"), END], [None, None])
    limits = Limits(retries=0, on_scorer_failure=declared)  # type: ignore[arg-type]
    trace = stage.solve(Widened(policy=MODES, ladder="weak-2"), limits)
    assert trace.steps[0].role == {"accept": "weak", "strong": "strong"}[declared]
    assert len(trace.fallbacks) == 2


@pytest.mark.parametrize(
    "wrong", [{"ladder": "weak"}, {"ladder": "weak-0"}, {"ladder": ""}, {"first": 3}, {"policy": Threshold(0.5)}]
)
def test_what_is_no_ladder_or_mode_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Widened(**{"policy": MODES, **wrong})  # type: ignore[arg-type]


def test_thresholds_belong_to_the_policy_modes() -> None:
    with pytest.raises(ConfigError):
        Widened(policy=RandomModes(0.5), good=0.9)
    assert Widened(policy=Modes(1.0), good=0.9, bad=0.1).policy == Modes(1.0, good=0.9, bad=0.1)


def test_best_of_n_asks_strong_only_below_the_threshold_of_its_best() -> None:
    stage = Stage([*texts("a", 3), *texts("b", 3)], [END], [0.2, 0.9, 0.1, 0.2, 0.3, 0.1])
    trace = stage.solve(BestOfN(policy=Threshold(0.5), width=3))
    assert [(step.role, step.text, step.rejected) for step in trace.steps] == [
        ("weak", "a1", None),
        ("strong", "so \\boxed{1}", "b1"),
    ]
    check_law(stage, trace)
