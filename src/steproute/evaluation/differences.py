"""Differences between two policies' metrics: intervals and p-values from the paired bootstrap over problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steproute.core.arrays import F64
from steproute.evaluation.resampling import Interval, percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much one curve's metric exceeds another's, paired over problems.

    value: NaN if either metric has no value, inf or -inf if only one of the two is reached. p: two-sided, twice the
    share of resamples on the smaller side of zero, itself counted in, so never below `least_p`. A resample without a
    value counts on both sides. Without a value, or with more than 5 % of such resamples, there is no interval (NaN) and
    no p (None).
    """

    value: float
    interval: Interval
    p: float | None


def difference(first: F64, second: F64) -> Difference:
    """first − second of two metrics as `metric_samples` gives them; if both are inf they are equal."""
    both = np.isinf(first) & np.isinf(second)
    gaps = np.subtract(first, second, out=np.zeros_like(first), where=~both)
    value, resampled = float(gaps[0]), gaps[1:]
    interval = percentiles(resampled)
    if np.isnan(value) or np.isnan(interval.low):
        return Difference(value=value, interval=Interval(np.nan, np.nan), p=None)
    side = min((~(resampled > 0)).sum(), (~(resampled < 0)).sum())
    p = min(1.0, (float(side) + 1) * least_p(len(resampled)))
    return Difference(value=value, interval=interval, p=p)


def least_p(resamples: int) -> float:
    """The smallest p-value that a bootstrap of so many resamples can give."""
    return 2 / (resamples + 1)


def metric_interval(samples: F64) -> Interval:
    """The middle 95 % of a metric as `metric_samples` gives it; NaN if the metric itself has no value."""
    return Interval(np.nan, np.nan) if np.isnan(samples[0]) else percentiles(samples[1:])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for how many there are: the chance of any false one among them stays below each.

    None, for a difference without a value, stays None and does not count. Source: Holm (1979).
    """
    corrected: list[float | None] = [None] * len(p_values)
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for rank, (p, index) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p))
        corrected[index] = largest
    return corrected
