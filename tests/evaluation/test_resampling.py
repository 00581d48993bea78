import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.evaluation.resampling import draws, percentiles


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=300))
def test_an_interval_excludes_at_most_2_5_percent_per_side(values: list[float]) -> None:
    """And no more than it has to: one value further in, more would be left out."""
    interval = percentiles(np.array(values))
    below = sum(value < interval.low for value in values)
    above = sum(value > interval.high for value in values)
    allowed = 0.025 * (len(values) - 1)
    assert below <= allowed
    assert above <= allowed
    assert sum(value <= interval.low for value in values) > allowed
    assert sum(value >= interval.high for value in values) > allowed


@pytest.mark.parametrize(("count", "low", "high"), [(1001, 25, 975), (1000, 24, 975), (10_001, 250, 9750)])
def test_the_middle_95_percent_of_equally_spaced_values(count: int, low: int, high: int) -> None:
    interval = percentiles(np.random.default_rng(0).permutation(np.arange(float(count))))
    assert (interval.low, interval.high) == (low, high)


@pytest.mark.parametrize(("undefined", "defined"), [(0, 1000), (49, 951), (50, 950)])
def test_a_few_resamples_without_a_value_are_left_out(undefined: int, defined: int) -> None:
    values = np.concatenate([np.full(undefined, np.nan), np.arange(float(defined))])
    interval = percentiles(values)
    assert interval == percentiles(np.arange(float(defined)))


@pytest.mark.parametrize(("undefined", "defined"), [(51, 949), (1000, 0), (1, 0)])
def test_there_is_no_interval_if_over_5_percent_are_undefined(undefined: int, defined: int) -> None:
    interval = percentiles(np.concatenate([np.full(undefined, np.nan), np.arange(float(defined))]))
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize("resamples", [1, 99, 100, 101, 250])
def test_every_resample_draws_as_many_things_as_there_are(resamples: int) -> None:
    counts = np.concatenate(list(draws(7, resamples, np.random.default_rng(0))))
    assert counts.shape == (resamples, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_resamples_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="resamples"):
        next(draws(3, 0, np.random.default_rng(0)))
