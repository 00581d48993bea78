"""Accuracy-cost curves as arrays, many at once: the arithmetic that the metrics and their bootstrap share."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64

REGIONS: Final = 5
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveBatch:
    """A batch of curves with the same number of points.

    The cost axis is c, strong tokens as a fraction of strong-only tokens. `own` joins the weak anchor and the policy's
    points; `anchored` continues to c = 1, where it has the height of the strong anchor, or of `own` if that passes
    above it. A straight piece between two neighbours is what choosing one of them at random for each problem gives, so
    no point of either line is out of reach.
    """

    own: "Polylines"
    anchored: "Polylines"
    weak_cost: F64  # (curve,)
    weak_accuracy: F64  # (curve,)
    gap: F64  # (curve,) acc(strong) - acc(weak)
    regenerations: tuple["Polylines", ...] = ()  # the counts of `Regenerations`

    @classmethod
    def of(
        cls,
        *,
        strong_tokens: F64,
        accuracy: F64,
        weak: tuple[F64, F64],
        strong: tuple[F64, F64],
        regenerations: F64 | None = None,
    ) -> "CurveBatch":
        """CurveBatch of points in any order.

        strong_tokens, accuracy: shape (curve, point). weak, strong: the anchors' tokens and accuracy, each (curve,).
        regenerations: the counts of `Regenerations`, (curve, point, 4). Strong-only tokens must be above 0.
        """
        weak_cost, weak_accuracy = weak[0] / strong[0], weak[1]
        cost = np.column_stack([weak_cost, strong_tokens / strong[0][:, None]])
        own = Polylines.through(cost, np.column_stack([weak_accuracy, accuracy]))
        one = np.ones_like(weak_cost)
        passing = np.where(own.x[:, -1] > 1, own.at(one[:, None])[:, 0], 0.0)
        end = np.maximum(passing, strong[1])
        return cls(
            own=own,
            anchored=Polylines.through(np.column_stack([own.x, one]), np.column_stack([own.y, end])),
            weak_cost=weak_cost,
            weak_accuracy=weak_accuracy,
            gap=strong[1] - weak_accuracy,
            regenerations=() if regenerations is None else _counts(cost, regenerations),
        )

    def cpt(self, share: float) -> F64:
        """Smallest c at which PGR reaches `share`, inf if it never does; shape (curve,)."""
        return self.own.first_reaching(self.weak_accuracy + share * self.gap)

    def accuracy_at(self, cost: float) -> F64:
        """Accuracy at c = `cost`, NaN if even the cheapest point costs more; shape (curve,)."""
        return self.anchored.at(np.full((len(self.gap), 1), cost, np.float64))[:, 0]

    def wasted_at(self, cost: float) -> F64:
        """Share of regenerated steps without a higher score, at c = `cost`; NaN if none is known; shape (curve,)."""
        return self._wasted(cost, 0)

    def wasted_by_checker_at(self, cost: float) -> F64:
        """Share of regenerated steps that mended no error, at c = `cost`; NaN if none is known; shape (curve,)."""
        return self._wasted(cost, 2)

    def apgr(self) -> F64:
        """Mean height of PGR between c(weak) and 1; shape (curve,)."""
        return (self.anchored.mean_height(self.weak_cost, 1.0) - self.weak_accuracy) / self.gap

    def delta_ibc(self, regions: int = REGIONS) -> F64:
        """Mean ΔIBC at the middles of `regions` equal-width cost regions between weak and strong; shape (curve,).

        With f the way from C(weak) to C(strong), IBC / IBC_base = PGR / f.
        """
        way = (np.arange(regions) + 0.5) / regions  # (region,)
        cost = self.weak_cost[:, None] + way * (1 - self.weak_cost[:, None])  # (curve, region)
        recovered = (self.anchored.at(cost) - self.weak_accuracy[:, None]) / self.gap[:, None]
        mean: F64 = (recovered / way - 1).mean(axis=1)
        return mean

    def _wasted(self, cost: float, first: int) -> F64:
        place = np.full((len(self.gap), 1), cost, np.float64)
        counts = [line.at(place)[:, 0] for line in self.regenerations[first : first + 2]] or [0 * self.gap] * 2
        known, wasted = counts
        return np.divide(wasted, known, out=np.full_like(known, np.nan), where=known > 0)


@dataclass(frozen=True, slots=True)
class Polylines:
    """Piecewise linear functions, x ascending along the last axis; x and y have shape (curve, point)."""

    x: F64
    y: F64

    @classmethod
    def through(cls, x: F64, y: F64) -> "Polylines":
        """Lines through points in any order; of points at the same x only the highest counts."""
        order = np.lexsort((-y, x), axis=-1)
        x, y = np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)
        for point in range(1, x.shape[1]):
            y[:, point] = np.where(x[:, point] == x[:, point - 1], y[:, point - 1], y[:, point])
        return cls(x, y)

    def at(self, x: F64) -> F64:
        """Height at `x`, shape (curve, place): flat after the last point, NaN before the first."""
        passed = (self.x[:, :, None] <= x[:, None, :]).sum(axis=1)  # (curve, place)
        left = np.maximum(passed - 1, 0)
        right = np.minimum(left + 1, self.x.shape[1] - 1)
        x0, x1 = (np.take_along_axis(self.x, index, axis=1) for index in (left, right))
        y0, y1 = (np.take_along_axis(self.y, index, axis=1) for index in (left, right))
        fraction = np.divide(x - x0, x1 - x0, out=np.zeros_like(x), where=x1 > x0)
        return np.where(passed > 0, y0 + fraction * (y1 - y0), np.nan)

    def first_reaching(self, level: F64) -> F64:
        """Smallest x at which the line is at `level` or above, inf if it never is; level and result (curve,).

        A rounding error below the level counts as reaching it: 365/500 is not always the same float as 0.73.
        """
        reached = self.y >= level[:, None] - _ROUNDING
        right = reached.argmax(axis=1)[:, None]
        left = np.maximum(right - 1, 0)
        x0, x1 = (np.take_along_axis(self.x, index, axis=1)[:, 0] for index in (left, right))
        y0, y1 = (np.take_along_axis(self.y, index, axis=1)[:, 0] for index in (left, right))
        rise = y1 - y0
        fraction = np.divide(level - y0, rise, out=np.zeros_like(level), where=rise > 0)
        return np.where(reached.any(axis=1), x0 + np.minimum(fraction, 1) * (x1 - x0), np.inf)

    def mean_height(self, low: F64, high: float) -> F64:
        """Area between `low` and `high` over its width, by the trapezoid rule; low and result (curve,)."""
        ends = np.column_stack([low, np.full_like(low, high)])
        first, last = np.hsplit(self.at(ends), 2)
        x = np.clip(self.x, ends[:, :1], ends[:, 1:])
        y = np.where(self.x < ends[:, :1], first, np.where(self.x > high, last, self.y))
        area: F64 = np.trapezoid(y, x, axis=1)
        return area / (high - low)


def _counts(cost: F64, regenerations: F64) -> tuple[Polylines, ...]:
    """Each count along the curve's own costs, which begin with always-weak, where nothing is regenerated."""
    none = np.zeros(len(cost))
    return tuple(
        Polylines.through(cost, np.column_stack([none, regenerations[:, :, index]]))
        for index in range(regenerations.shape[2])
    )
