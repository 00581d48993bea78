"""Operating points: what it costs to recover a share of the gap, in dollars, strong tokens and time at one point."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.curves import CurveBatch, Polylines
from steproute.evaluation.resampling import RESAMPLES, Interval95, draws, finite, percentiles

SHARES: Final = (0.8, 0.9, 0.95)
_FREE: Final = math.nan
_SAME: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """Where a policy's curve first recovers `gap_recovered` of the accuracy gap between always-weak and always-strong.

    It lies on the straight line between two neighbouring points, so a fixed mixture of two knobs reaches it.
    strong_tokens, cost_usd and latency are shares of what always-strong takes, all at this one point: strong_tokens is
    CPT(gap_recovered), latency is of the seconds per problem. None means that the curve never gets there, or for
    cost_usd and latency that always-strong costs no dollars or takes no time that was measured.
    The `_ci95` are percentile intervals of a bootstrap over problems that repeats the interpolation; None is infinite.
    between: the shares of strong tokens of the two neighbouring points; None if the curve never gets there.
    """

    gap_recovered: float
    accuracy: float
    strong_tokens: float | None
    strong_tokens_ci95: Interval95
    cost_usd: float | None
    cost_usd_ci95: Interval95
    latency: float | None = None
    latency_ci95: Interval95 = (None, None)
    between: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One policy and its anchors on one cost axis: `sweep` (knob, problem), `weak` and `strong` (problem,)."""

    sweep: Outcomes
    weak: Outcomes
    strong: Outcomes

    def rows(self) -> F64:
        """Costs, (weak | strong | each knob, problem)."""
        return np.vstack([self.weak.cost, self.strong.cost, self.sweep.cost])

    def correct(self) -> F64:
        """1 for a correct answer, (weak | strong | each knob, problem)."""
        return np.vstack([self.weak.correct, self.strong.correct, self.sweep.correct]).astype(np.float64)


def operating_points(tokens: Spent, usd: Spent, seconds: Spent, rng: np.random.Generator) -> list[OperatingPoint]:
    """The points at `SHARES`, none if strong is no better than weak or generates no more strong tokens.

    tokens, usd, seconds: the same knobs and problems on three cost axes. With the generator of `curve_intervals` the
    intervals of strong_tokens are those of CPT.
    """
    accuracy, strong_tokens, cost_usd, latency = _means(tokens, usd, seconds, rng)
    gap = (accuracy[:, 1] > accuracy[:, 0]) & (strong_tokens[:, 1] > strong_tokens[:, 0])
    if not gap[0]:
        return []
    return list(_points(accuracy[gap], strong_tokens[gap], cost_usd[gap], latency[gap]))


def _points(accuracy: F64, strong_tokens: F64, cost_usd: F64, latency: F64) -> Iterator[OperatingPoint]:
    """One point per share; the outcomes' own means come first in every array, then the resamples."""
    curves = CurveBatch.of(
        strong_tokens=strong_tokens[:, 2:],
        accuracy=accuracy[:, 2:],
        weak=(strong_tokens[:, 0], accuracy[:, 0]),
        strong=(strong_tokens[:, 1], accuracy[:, 1]),
    )
    lines = [_cost_along(accuracy, strong_tokens, cost) for cost in (cost_usd, latency)]
    for share in SHARES:
        reached = curves.cpt(share)
        dollars, time = (np.where(np.isinf(reached), np.inf, line.at(reached[:, None])[:, 0]) for line in lines)
        yield OperatingPoint(
            gap_recovered=share,
            accuracy=float(accuracy[0, 0] + share * curves.gap[0]),
            strong_tokens=finite(reached[0]),
            strong_tokens_ci95=percentiles(reached[1:]).ends,
            cost_usd=finite(dollars[0]),
            cost_usd_ci95=percentiles(dollars[1:]).ends,
            latency=finite(time[0]),
            latency_ci95=percentiles(time[1:]).ends,
            between=_between(strong_tokens[0], reached[0]),
        )


def _between(strong_tokens: F64, reached: float) -> tuple[float, float] | None:
    """The shares of strong tokens on either side of `reached`, of always-weak and the knobs (weak | strong | knobs)."""
    if not math.isfinite(reached):
        return None
    shares = np.r_[0.0, strong_tokens[2:] / strong_tokens[1]]
    return float(shares[shares <= reached + _SAME].max()), float(shares[shares >= reached - _SAME].min())


def _means(tokens: Spent, usd: Spent, seconds: Spent, rng: np.random.Generator) -> list[F64]:
    """Mean accuracy, tokens, dollars and seconds, each (all problems, then resamples; weak | strong | each knob)."""
    outcomes = np.vstack([tokens.correct(), tokens.rows(), usd.rows(), seconds.rows()]).T
    resampled = (count @ outcomes / len(outcomes) for count in draws(len(outcomes), RESAMPLES, rng))
    return np.hsplit(np.concatenate([outcomes.mean(axis=0)[None], *resampled]), 4)


def _cost_along(accuracy: F64, strong_tokens: F64, cost: F64) -> Polylines:
    """Another cost over c on the curve that CPT walks: of points with equal tokens, that of the most accurate one."""
    own = np.r_[0, 2 : accuracy.shape[1]]  # the weak anchor and the knobs
    of_strong = cost[:, 1:2]
    share = np.divide(cost[:, own], of_strong, out=np.full((len(own), len(accuracy)), _FREE).T, where=of_strong > 0)
    c = strong_tokens[:, own] / strong_tokens[:, 1:2]
    order = np.lexsort((-accuracy[:, own], c), axis=-1)
    c, share = np.take_along_axis(c, order, axis=1), np.take_along_axis(share, order, axis=1)
    for point in range(1, c.shape[1]):
        share[:, point] = np.where(c[:, point] == c[:, point - 1], share[:, point - 1], share[:, point])
    return Polylines(c, share)
