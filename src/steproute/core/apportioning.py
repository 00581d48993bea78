"""A total split into whole parts."""

from collections.abc import Sequence
from itertools import accumulate, pairwise


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to the weights, equally if all of them are 0. The parts add up to `total` exactly."""
    ends = list(accumulate(weights, initial=0))
    if ends[-1] == 0:
        ends = list(range(len(weights) + 1))
    return [total * after // ends[-1] - total * before // ends[-1] for before, after in pairwise(ends)]
