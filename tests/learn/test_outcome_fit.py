"""Parameters that solutions were drawn by are found again from their scores and final answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.errors import DatasetError
from steproute.learn.outcome_fit import (
    GradedSolution,
    expected_observations,
    fit_first_errors,
    fit_on_outcomes,
    step_accuracy,
)
from steproute.learn.pomdp_fit import LabelledSolution, fit_observations
from steproute.learn.rewriters import SoloSolutions

F64 = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def drawn(
    count: int, *, slope: float = 1.0, shift: float = 0.0, recovery: float = 0.1, lost: bool = False
) -> tuple[list[GradedSolution], list[LabelledSolution]]:
    """Solutions whose steps have scores of any kind and are correct with probability sigmoid(slope · logit + shift).

    lost: after an error the scores come by another law.
    """
    rng = np.random.default_rng(0)
    graded, labelled = [], []
    for _ in range(count):
        scores = np.clip(rng.beta(2.0, 0.35, rng.integers(2, 9)), 0.002, 0.998)
        chances = 1 / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + shift)))
        wrong = np.flatnonzero(rng.random(len(scores)) >= chances)
        first = int(wrong[0]) if len(wrong) else None
        if first is not None and lost:
            scores[first + 1 :] = rng.beta(1.0, 1.0, len(scores) - first - 1)
        values = tuple(scores.tolist())
        graded.append(GradedSolution(scores=values, correct=first is None or bool(rng.random() < recovery)))
        labelled.append(LabelledSolution(scores=values, first_error=first))
    return graded, labelled


def step_share(labelled: list[LabelledSolution]) -> float:
    """p_w by the labels."""
    wrong = sum(each.first_error is not None for each in labelled)
    correct = sum(len(each.scores) if each.first_error is None else each.first_error for each in labelled)
    return correct / (correct + wrong)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, 0.8), (1.8, -0.5)])
def test_what_the_solutions_were_drawn_by_is_found_again(slope: float, shift: float) -> None:
    graded, labelled = drawn(6000, slope=slope, shift=shift)
    found = fit_first_errors(graded)
    assert found.slope == pytest.approx(slope, abs=0.2)
    assert found.shift == pytest.approx(shift, abs=0.2)
    assert found.recovery == pytest.approx(0.1, abs=0.04)
    assert found.weak_accuracy == pytest.approx(step_share(labelled), abs=0.01)
    by_labels = fit_observations(labelled)
    by_answers = expected_observations(graded, found.places)
    assert (np.abs(by_labels - by_answers).sum((1, 2)) / 2 < 0.1).all()


def test_a_scorer_that_is_lost_after_an_error_moves_what_is_found_a_little() -> None:
    """The fit holds that scores do not depend on earlier errors."""
    graded, labelled = drawn(6000, lost=True)
    found = fit_first_errors(graded)
    assert found.weak_accuracy == pytest.approx(step_share(labelled), abs=0.03)
    by_labels = fit_observations(labelled)
    by_answers = expected_observations(graded, found.places)
    assert (np.abs(by_labels - by_answers).sum((1, 2)) / 2 < 0.35).all()


def test_a_scorer_that_knows_nothing_leaves_a_geometric_prior() -> None:
    """Steps are correct with probability 0.8, whatever the score; solutions of many lengths tell p_w."""
    rng = np.random.default_rng(1)
    graded = []
    for count in rng.integers(1, 13, 12_000).tolist():
        correct = bool((rng.random(count) < 0.8).all() or rng.random() < 0.1)
        graded.append(GradedSolution(scores=tuple(rng.random(count).tolist()), correct=correct))
    found = fit_first_errors(graded)
    assert found.slope == pytest.approx(0.0, abs=0.05)
    assert found.recovery == pytest.approx(0.1, abs=0.03)
    assert found.weak_accuracy == pytest.approx(0.8, abs=0.02)
    four = [q for q, each in zip(found.places, graded, strict=True) if len(q) == 5 and not each.correct]
    geometric = 0.8 ** np.arange(4)
    np.testing.assert_allclose(np.mean(four, axis=0), [*(geometric / geometric.sum()), 0.0], atol=0.03)


def test_few_solutions_leave_the_scores_as_they_are() -> None:
    found = fit_first_errors([GradedSolution(scores=(0.9, 0.1), correct=correct) for correct in (True, False)])
    assert (found.slope, found.shift) == (pytest.approx(1.0, abs=0.5), pytest.approx(0.0, abs=0.5))
    assert found.places[1].argmax() == 1


solutions = st.lists(
    st.builds(
        GradedSolution, scores=st.lists(st.floats(0, 1), min_size=1, max_size=12).map(tuple), correct=st.booleans()
    ),
    min_size=2,
    max_size=30,
)


@given(solutions)
@settings(deadline=None)
def test_every_error_has_one_place_and_incorrect_answers_an_error(graded: list[GradedSolution]) -> None:
    correct = sum(each.correct for each in graded)
    if not 0 < correct < len(graded):
        with pytest.raises(DatasetError, match=f"has {correct} correct and {len(graded) - correct} incorrect answers"):
            fit_first_errors(graded)
        return
    found = fit_first_errors(graded)
    for q, each in zip(found.places, graded, strict=True):
        assert len(q) == len(each.scores) + 1
        assert (q >= 0).all()
        assert q.sum() == pytest.approx(1)
        assert each.correct or q[-1] == 0
    assert 0 <= found.weak_accuracy <= 1
    assert 0 <= found.recovery <= 1


@given(st.floats(0.5, 0.999), st.floats(0, 0.3), st.integers(0, 5))
@settings(deadline=None, max_examples=20)
def test_the_strong_models_accuracy_is_found_again(accuracy: float, recovery: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 10, 20_000)
    sound = rng.random(20_000) < accuracy**counts
    correct = sound | (rng.random(20_000) < recovery)
    answers = list(zip(counts.tolist(), correct.tolist(), strict=True))
    assert step_accuracy(answers, recovery) == pytest.approx(accuracy, abs=0.03)


def log_likelihoods(answers: list[tuple[int, bool]], recovery: float, accuracies: F64) -> F64:
    """Of `step_accuracy`'s model, one for each accuracy."""
    steps, correct = np.array(answers).T
    sound = accuracies[:, None] ** steps
    logs: F64 = np.log(np.where(correct, sound + recovery * (1 - sound), (1 - recovery) * (1 - sound))).sum(1)
    return logs


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60),
    st.tuples(st.integers(1, 40), st.integers(0, 400)),
    st.floats(0.01, 0.5),
)
@settings(deadline=None)
def test_no_accuracy_is_likelier_than_the_one_that_is_found(
    answers: list[tuple[int, bool]], bulk: tuple[int, int], recovery: float
) -> None:
    answers = answers + [(bulk[0], True)] * bulk[1]
    found = np.array([min(step_accuracy(answers, recovery), 1 - 1e-9)])
    grid = np.concatenate([np.linspace(1e-6, 0.99, 2000), 1 - np.geomspace(1e-2, 1e-6, 2000)])
    best = log_likelihoods(answers, recovery, grid).max()
    assert log_likelihoods(answers, recovery, found)[0] >= best - 1e-6


def test_a_few_short_incorrect_answers_leave_a_strong_model_strong() -> None:
    """The likelihood has a second, lower maximum at 0, from which p = 0.5 is uphill."""
    answers = [(20, True)] * 368 + [(20, False)] * 32 + [(2, False)] * 4
    assert step_accuracy(answers, 0.1) == pytest.approx(0.994, abs=0.003)


def test_long_solutions_have_a_likelihood() -> None:
    """p^n is 0 in floating point where its logarithm is not."""
    assert step_accuracy([(3000, True)] + [(1, False)] * 1000) == pytest.approx(0.75, abs=1e-6)


def test_the_ends_of_the_strong_models_accuracy() -> None:
    assert step_accuracy([(3, True), (5, True)]) == pytest.approx(1)
    assert step_accuracy([(3, False), (5, False)]) == pytest.approx(0)
    with pytest.raises(DatasetError, match="a rewriter has none with a step"):
        step_accuracy([(0, True)])


def test_the_fit_is_a_whole_model() -> None:
    graded, _ = drawn(500)
    strong = SoloSolutions(role="strong", answers=[(4, True)] * 9 + [(4, False)], tokens=2000)
    model = fit_on_outcomes(graded, [strong])
    assert model.rewriters[0].accuracy == pytest.approx(0.9**0.25, abs=0.01)
    assert model.step_tokens == 50
    np.testing.assert_allclose(model.observations.sum((1, 2)), 1)
    assert model.posterior(0.9, 0.99).argmax() == 0
