import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.apportioning import apportion


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**4), min_size=1, max_size=30))
def test_parts_add_up_and_are_within_one_of_their_share(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    shares = weights if sum(weights) else [1] * len(weights)
    assert all(abs(part - total * share / sum(shares)) < 1 + 1e-6 for part, share in zip(parts, shares, strict=True))


@pytest.mark.parametrize(("weights", "parts"), [([], []), ([0, 0], [3, 4]), ([1, 2, 1], [1, 4, 2]), ([5], [7])])
def test_seven_in_proportion_to_weights(weights: list[int], parts: list[int]) -> None:
    assert apportion(7, weights) == parts
