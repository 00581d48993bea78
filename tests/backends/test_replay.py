import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute import Episode, Limits, ModelRole, Outcome, Prefix, Problem, Roles, Sampling, ScorerRole, Step, Stop
from steproute.backends.replay import ReplayModel
from steproute.core.errors import BackendError, ScorerError
from steproute.core.recording import Recording, spliced
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.replay import ReplayScorer
from steproute.strategies.cascade import Cascade
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

PROBLEM = Problem.ask(id="p", text="How many?", answer="2")
WEAK = [
    Recording(problem_id="p", steps=("a", "b", "\\boxed{1}"), step_tokens=(3, 4, 5), scores=(0.9, 0.2, 0.8)),
    Recording(problem_id="p", steps=("a", "c", "\\boxed{2}"), step_tokens=(3, 6, 5), scores=(0.9, 0.8)),
]
STRONG = [Recording(problem_id="p", steps=("x", "\\boxed{2}"), step_tokens=(7, 8))]


def prefix(*texts: str) -> Prefix:
    return Prefix(problem=PROBLEM, steps=tuple(Step(role="weak", text=text, tokens=1) for text in texts))


def recorded_roles() -> Roles:
    writers = {"weak": ModelRole(model=ReplayModel("w", WEAK[:1])), "strong": ModelRole(model=ReplayModel("s", STRONG))}
    return Roles(models=writers, scorers={"prm": ScorerRole(scorer=ReplayScorer("r", WEAK))})


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


@given(st.lists(st.tuples(paths, st.just(None)), min_size=1, max_size=6), st.lists(st.integers(0, 99), max_size=6))
def test_every_replayed_step_is_a_recorded_child_of_exactly_that_prefix(
    solutions: list[tuple[list[str], None]], seeds: list[int]
) -> None:
    recorded = [tuple(steps) for steps, _ in solutions]
    model = ReplayModel(
        "m", [Recording(problem_id="p", steps=steps, step_tokens=(1,) * len(steps)) for steps in recorded]
    )
    so_far: tuple[str, ...] = ()
    for seed in seeds:
        try:
            (draft,) = asyncio.run(model.propose(prefix(*so_far), 1, Sampling(seed=seed)))
        except BackendError:
            assert not any(steps[: len(so_far)] == so_far and len(steps) > len(so_far) for steps in recorded)
            return
        so_far = (*so_far, draft.text)
        assert any(steps[: len(so_far)] == so_far for steps in recorded)
        assert draft.stop is not Stop.END or so_far in recorded


def test_samples_that_share_a_prefix_branch_by_seed() -> None:
    model = ReplayModel("w", WEAK)
    drafts = [asyncio.run(model.propose(prefix("a"), 1, Sampling(seed=seed)))[0].text for seed in range(40)]
    assert set(drafts) == {"b", "c"}
    assert len(asyncio.run(model.propose(prefix("a"), 5, Sampling(seed=1)))) == 5


def test_to_the_end_is_the_rest_of_one_recording_with_its_tokens() -> None:
    (draft,) = asyncio.run(ReplayModel("w", WEAK[:1]).propose(prefix("a"), 1, Sampling(stop=None)))
    assert draft.text == "b\n\n\\boxed{1}"
    assert (draft.stop, draft.step_tokens, draft.usage.output_tokens) == (Stop.END, (4, 5), 9)
    assert draft.usage.estimated


def test_an_unrecorded_prefix_is_an_error_never_another_text() -> None:
    model = ReplayModel("w", WEAK)
    for texts in (("b",), ("a", "x"), ("a", "b", "\\boxed{1}")):
        with pytest.raises(BackendError, match="no recording of w gives step"):
            asyncio.run(model.propose(prefix(*texts)))
    with pytest.raises(BackendError, match="a recording cannot be cut"):
        asyncio.run(model.propose(prefix(), 1, Sampling(max_tokens=2)))


def test_degenerate_steps_are_spliced_away_with_their_tokens_and_scores() -> None:
    recording = Recording(
        problem_id="p", steps=("a", "---", "b", "**"), step_tokens=(1, 2, 3, 4), scores=(0.1, 0.2, 0.3, 0.4)
    )
    assert spliced(recording).steps == ("a", "b", "**")
    assert spliced(recording).step_tokens == (1, 5, 4)
    assert spliced(recording).scores == (0.1, 0.3, 0.4)


def test_scores_are_the_recorded_ones_or_an_error() -> None:
    scorer = ReplayScorer("r", WEAK)
    assert asyncio.run(scorer.score(prefix("a", "c"))).values == (0.9, 0.8)
    with pytest.raises(ScorerError, match="no recorded score for step 3"):
        asyncio.run(scorer.score(prefix("a", "c", "\\boxed{2}")))
    with pytest.raises(ScorerError):
        asyncio.run(scorer.score(prefix("b")))


def test_a_cascade_over_recordings_escalates_and_pays_for_both() -> None:
    trace = asyncio.run(Episode(PROBLEM, recorded_roles(), route="t").run(Cascade(policy=Threshold(0.5))))
    assert (trace.answer, trace.outcome) == ("2", Outcome.ANSWERED)
    assert (trace.generated_tokens("weak"), trace.generated_tokens("strong")) == (7, 15)


def test_a_single_model_replays_its_own_answer() -> None:
    trace = asyncio.run(Episode(PROBLEM, recorded_roles(), route="t").run(Single("weak")))
    assert [step.tokens for step in trace.steps] == [3, 4, 5]
    assert trace.answer == "1"


def test_regenerating_within_a_weak_prefix_fails_with_the_reason() -> None:
    limits = Limits(on_scorer_failure="accept")
    episode = Episode(PROBLEM, recorded_roles(), route="t", limits=limits)
    trace = asyncio.run(episode.run(Stepwise(policy=Threshold(0.5))))
    assert trace.outcome is Outcome.FAILED
    assert "support the strategies single and cascade" in (trace.error or "")
