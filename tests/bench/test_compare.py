import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.bench.bootstrap import METRICS, Outcomes, curve_of, difference, metric_samples
from steproute.bench.metrics import measure


def world(seed: int, problems: int = 200) -> tuple[Outcomes, Outcomes, Outcomes, Outcomes]:
    """A policy, the same one with strong steps thrown away at random, weak and strong."""
    rng = np.random.default_rng(seed)
    hard = rng.random(problems)
    knobs = np.linspace(0, 1, 6)[:, None]
    good = Outcomes(correct=hard < 0.5 + 0.4 * knobs**0.3, cost=100 * knobs + 0 * hard)
    poor = Outcomes(correct=hard < 0.5 + 0.4 * knobs**3, cost=100 * knobs + 0 * hard)
    weak = Outcomes(correct=hard < 0.5, cost=np.zeros(problems))
    strong = Outcomes(correct=hard < 0.9, cost=np.full(problems, 100.0))
    return good, poor, weak, strong


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_first_sample_is_the_curves_own_metric(seed: int) -> None:
    good, poor, weak, strong = world(seed)
    samples = metric_samples([good, poor], weak, strong, np.random.default_rng(0), resamples=20)
    for outcomes, sample in zip((good, poor), samples, strict=True):
        own = measure(curve_of(range(6), outcomes, weak, strong))
        for name in METRICS:
            assert sample[name][0] == pytest.approx(getattr(own, name))
            assert sample[name].shape == samples[0]["apgr"].shape


def test_a_better_policy_wins_with_a_small_p_and_equals_do_not() -> None:
    good, poor, weak, strong = world(0)
    first, second, again = metric_samples([good, poor, good], weak, strong, np.random.default_rng(0))
    for metric in ("apgr", "delta_ibc", "accuracy_at_20"):
        better = difference(first[metric], second[metric])
        assert better.value > 0
        assert better.interval.low > 0
        assert better.p < 0.01
        assert difference(second[metric], first[metric]).value == -better.value
        assert difference(first[metric], again[metric]).p == 1.0


def test_a_share_that_neither_reaches_is_no_difference() -> None:
    never = np.full(11, np.inf)
    assert difference(never, never).value == 0
    assert difference(never, never).p == 1.0
    assert difference(never, np.zeros(11)).value == np.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_p_is_rarely_small_where_there_is_no_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = difference(np.concatenate([[0.0], rng.normal(size=999)]), np.zeros(1000))
    assert found.p > 0.5
