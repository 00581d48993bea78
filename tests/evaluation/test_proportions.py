import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.evaluation.proportions import proportion_interval


def test_wilson_interval_of_a_known_case() -> None:
    # 8 of 10, z = 1.959964, z² = 3.841459: centre (0.8 + 0.192073) / 1.384146 = 0.716740,
    # half width 1.959964 / 1.384146 * sqrt(0.016 + 0.00960365) = 0.226577
    interval = proportion_interval(8, 10)
    assert interval.low == pytest.approx(0.490162, abs=1e-5)
    assert interval.high == pytest.approx(0.943318, abs=1e-5)


@given(st.integers(1, 10_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_a_wilson_interval_holds_the_share_and_stays_in_the_unit_interval(case: tuple[int, int]) -> None:
    successes, trials = case
    interval = proportion_interval(successes, trials)
    assert 0 <= interval.low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= interval.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_are_rejected(successes: int, trials: int) -> None:
    with pytest.raises(ConfigError, match="cannot be"):
        proportion_interval(successes, trials)
