import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import DatasetError
from steproute.learn.pomdp_fit import LabelledSolution, density, fit_hazard, fit_observations, states_seen

scores = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(tuple)


@st.composite
def labelled(draw: st.DrawFn) -> LabelledSolution:
    values = draw(scores)
    return LabelledSolution(scores=values, first_error=draw(st.one_of(st.none(), st.integers(0, len(values) - 1))))


def test_a_right_solution_is_seen_at_its_quarters_and_a_wrong_one_at_and_after_its_error() -> None:
    right = LabelledSolution(scores=(0.9, 0.8, 0.7, 0.95, 0.6, 0.5, 0.4, 0.3), first_error=None)
    wrong = LabelledSolution(scores=(0.9, 0.2, 0.6), first_error=1)
    on_track, derailed, newest_wrong = states_seen([right, wrong])
    assert on_track.tolist() == [[0.9, 0.8], [0.7, 0.95], [0.6, 0.5], [0.4, 0.3]]
    assert newest_wrong.tolist() == [[0.9, 0.2]]
    assert derailed.tolist() == [[0.2, 0.6]]


@given(st.lists(labelled(), min_size=1, max_size=20))
def test_every_state_has_a_probability_of_one(solutions: list[LabelledSolution]) -> None:
    two_of_each = [LabelledSolution(scores=(0.5, 0.5, 0.5), first_error=first) for first in (None, 0, 0)]
    fitted = fit_observations([*solutions, *two_of_each])
    assert fitted.shape == (3, 20, 20)
    assert (fitted >= 0).all()
    np.testing.assert_allclose(fitted.sum((1, 2)), 1)


def test_reflection_keeps_a_uniform_density_uniform_up_to_the_borders() -> None:
    rng = np.random.default_rng(0)
    solutions = [LabelledSolution(scores=tuple(rng.random(2)), first_error=1) for _ in range(20_000)]
    other = [LabelledSolution(scores=(0.5, 0.5, 0.5), first_error=first) for first in (None, 0, 0)]
    newest_wrong = fit_observations([*solutions, *other], bins=10)[2]
    np.testing.assert_allclose(newest_wrong, 0.01, rtol=0.15)


def test_a_state_without_examples_is_refused() -> None:
    with pytest.raises(DatasetError, match="0 examples of 'derailed'"):
        fit_observations([LabelledSolution(scores=(0.5, 0.5), first_error=None)])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_a_hazard_ends_every_solution_exactly_once(counts: list[int]) -> None:
    hazard = fit_hazard(counts)
    assert hazard[:2].tolist() == [0, 0]
    assert hazard[30] == 1
    assert ((hazard >= 0) & (hazard <= 1)).all()
    ends_at = hazard * np.concatenate([[1], np.cumprod(1 - hazard)[:-1]])
    assert ends_at.sum() == pytest.approx(1)


def test_a_hazard_follows_the_counts() -> None:
    hazard = fit_hazard([2] * 50 + [4] * 50)
    assert hazard[2] == pytest.approx(0.5, abs=1e-3)
    assert hazard[3] == pytest.approx(0, abs=1e-3)
    assert hazard[4] == pytest.approx(1, abs=1e-3)
    with pytest.raises(DatasetError, match="there are none"):
        fit_hazard([])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 4)), min_size=2, max_size=20))
def test_only_the_shares_of_weights_count(found: list[tuple[float, float, int]]) -> None:
    rows, weights = np.array([row[:2] for row in found]), np.array([float(row[2]) for row in found])
    one, other = density("a", rows, weights), density("a", rows, 5 * weights)
    np.testing.assert_allclose(one, other)
    assert one.sum() == pytest.approx(1)
