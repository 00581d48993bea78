"""Resampling with replacement, and the percentile intervals that it gives."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError

Interval95 = tuple[float | None, float | None]
RESAMPLES: Final = 1000
LEVEL: Final = 0.95
_BLOCK: Final = 100  # resamples drawn at a time, which bounds the memory


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval. An end is inf if so many resamples never reach the share that a CPT asks for, and both ends are
    NaN if the figure has no value."""

    low: float
    high: float

    @property
    def ends(self) -> Interval95:
        """Both ends as JSON holds them."""
        return finite(self.low), finite(self.high)

    @property
    def ends_if_defined(self) -> Interval95 | None:
        """Both ends as JSON holds them; None if the figure has no value."""
        return None if math.isnan(self.low) or math.isnan(self.high) else self.ends


def finite(value: float) -> float | None:
    """A number as JSON holds it: None if it is infinite ("not reached") or NaN."""
    return float(value) if math.isfinite(value) else None


def draws(size: int, resamples: int, rng: np.random.Generator) -> Iterator[F64]:
    """How often each of `size` things is drawn in a resample; blocks of shape (resample, thing)."""
    if resamples < 1:
        raise ConfigError(f"{resamples} is below 1. {RESAMPLES} is usual.", where="resamples")
    for done in range(0, resamples, _BLOCK):
        block = min(_BLOCK, resamples - done)
        yield rng.multinomial(size, np.full(size, 1 / size), size=block).astype(np.float64)


def percentiles(values: F64) -> Interval:
    """The middle 95 % of `values`, ends rounded outwards to a value that occurs: inf is not interpolated with.

    NaN marks a resample in which the figure has no value. Those are left out, and if they are more than 5 % of all, no
    95 % interval can be stated: both ends are NaN.
    """
    defined = np.sort(values[~np.isnan(values)])
    if len(defined) < LEVEL * len(values) or not len(defined):
        return Interval(math.nan, math.nan)
    tail = (1 - LEVEL) / 2 * (len(defined) - 1)
    return Interval(float(defined[math.floor(tail)]), float(defined[math.ceil(len(defined) - 1 - tail)]))
