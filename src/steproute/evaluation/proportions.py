"""95 % intervals of a share: Wilson for independent items, a bootstrap over groups for items that come in groups."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from steproute.core.errors import ConfigError
from steproute.evaluation.resampling import LEVEL, RESAMPLES, Interval, draws, percentiles


def proportion_interval(successes: int, trials: int) -> Interval:
    """95 % Wilson score interval of `successes` out of `trials`.

    Raises ConfigError for counts that cannot be. Source: Wilson (1927).
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ConfigError(
            f"{successes} of {trials} trials cannot be.",
            where="successes",
            remedy="Give 0 <= successes <= trials, trials > 0.",
        )
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, shrink = successes / trials, 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def grouped_proportion_interval(
    values: npt.ArrayLike, groups: npt.ArrayLike, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile interval of the share of true `values`, drawing whole groups; both have shape (item,).

    Raises ConfigError for shapes that differ, or no item.
    """
    value = np.asarray(values, np.float64)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if value.ndim != 1 or value.shape != group.shape or not value.size:
        raise ConfigError(
            f"shape {value.shape}, groups {group.shape}.", where="values", remedy="Give one of each per item."
        )
    true, items = np.bincount(group, value), np.bincount(group).astype(np.float64)
    shares = [count @ true / (count @ items) for count in draws(len(names), resamples, rng)]
    return percentiles(np.concatenate(shares))
