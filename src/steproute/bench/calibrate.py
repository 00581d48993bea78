"""The knob for a budget or a target: chosen on one half of the problems, measured on the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.bench.bootstrap import Outcomes
from steproute.bench.curves import F64
from steproute.bench.resampling import RESAMPLES, Interval
from steproute.bench.summary import Axis
from steproute.core.errors import ConfigError, DatasetError
from steproute.policies.mixture import BudgetCurve, Mix

LEAST_PROBLEMS: Final = 30
WIDEST: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A mix on problems that did not choose it, with 95 % bootstrap intervals.

    cost: strong tokens or dollars a problem; cost_share: over that of always-strong; accuracy_share: accuracy over that
    of always-strong.
    """

    problems: int
    accuracy: float
    cost: float
    cost_share: float
    accuracy_share: float
    cost_share_ci95: Interval
    accuracy_share_ci95: Interval


def halves(problem_ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the problems that choose and of those that measure, by a hash of the id, whatever the order."""
    first = np.array([hashlib.blake2b(name.encode()).digest()[0] % 2 == 0 for name in problem_ids], bool)
    return np.flatnonzero(first), np.flatnonzero(~first)


def budget_curve(knobs: Sequence[float], swept: Outcomes, axis: Axis) -> tuple[BudgetCurve, F64]:
    """The knobs on the upper hull of cost and accuracy, and the accuracy of each.

    A mix of two knobs reaches every point between them, so no mix is better than those of neighbours on the hull.
    """
    cost, accuracy = swept.cost.mean(axis=1), swept.correct.mean(axis=1)
    corners = _upper_hull(cost, accuracy)
    curve = BudgetCurve(
        axis=axis, knobs=tuple(knobs[corner] for corner in corners), costs=tuple(cost[corners].tolist())
    )
    return curve, accuracy[corners]


def cost_for_budget(curve: BudgetCurve, budget: float) -> float:
    """`budget` a problem, on the curve's axis. Raises ConfigError where the cheapest knob exceeds it."""
    if budget < curve.costs[0]:
        raise ConfigError(
            f"budget: {budget:.4g} a problem is below {curve.costs[0]:.4g}, what the cheapest knob spends. Raise it."
        )
    return budget


def cost_for_target(curve: BudgetCurve, accuracy: F64, strong: Outcomes, target: float) -> float:
    """What a problem costs where `target`, a share of always-strong's accuracy, is reached.

    accuracy: of each knob of the curve. Raises ConfigError for a target that no knob reaches.
    """
    reached = accuracy / strong.correct.mean()
    if target > reached[-1]:
        raise ConfigError(
            f"target: no knob reaches {target:.1%} of strong's accuracy; the best one has {reached[-1]:.1%}. Lower it."
        )
    return float(np.interp(target, reached, curve.costs))


def relative_deviation(mix: Mix, knobs: Sequence[float], swept: Outcomes) -> float:
    """Standard deviation of one problem's cost over its mean."""
    costs = (1 - mix.share) * swept.cost[list(knobs).index(mix.low)] + mix.share * swept.cost[
        list(knobs).index(mix.high)
    ]
    return float(costs.std() / costs.mean()) if costs.any() else 1.0


def measure_mix(
    mix: Mix, knobs: Sequence[float], swept: Outcomes, strong: Outcomes, rng: np.random.Generator
) -> Measured:
    """What a mix spends and reaches, in expectation over which problems get which knob.

    Raises DatasetError where the problems are too few for intervals that say something: under 30, or an interval of
    either share wider than ± 0.1.
    """
    count = len(strong.correct)
    if count < LEAST_PROBLEMS:
        raise DatasetError(
            f"calibrate: {count} problems are left to measure on, {LEAST_PROBLEMS} are the least. Give more problems."
        )
    weights = np.zeros(len(knobs))
    weights[list(knobs).index(mix.low)] += 1 - mix.share
    weights[list(knobs).index(mix.high)] += mix.share
    rows = np.stack([weights @ swept.correct, strong.correct, weights @ swept.cost, strong.cost])
    right, strong_right, cost, strong_cost = rows.mean(axis=1)
    drawn = rows[:, rng.integers(count, size=(RESAMPLES, count))].mean(axis=2)
    spent, reached = _interval(drawn[2] / drawn[3]), _interval(drawn[0] / drawn[1])
    for name, interval in (("strong's cost", spent), ("strong accuracy", reached)):
        width = (interval.high - interval.low) / 2
        if not width <= WIDEST:
            needed = 2 * int(np.ceil(count * (width / WIDEST) ** 2))
            raise DatasetError(
                f"calibrate: {count} problems say the share of {name} to ± {width:.2f} only. Give about {needed}."
            )
    return Measured(
        problems=count,
        accuracy=float(right),
        cost=float(cost),
        cost_share=float(cost / strong_cost),
        accuracy_share=float(right / strong_right),
        cost_share_ci95=spent,
        accuracy_share_ci95=reached,
    )


def chosen(outcomes: Outcomes, indices: NDArray[np.intp]) -> Outcomes:
    """The outcomes of some problems."""
    return Outcomes(correct=outcomes.correct[..., indices], cost=outcomes.cost[..., indices])


def _upper_hull(cost: F64, accuracy: F64) -> NDArray[np.intp]:
    """Indices of the corners, from the cheapest knob to the most accurate one, accuracy rising."""
    corners: list[int] = []
    for index in np.lexsort((-accuracy, cost)).tolist():
        if corners and accuracy[index] <= accuracy[corners[-1]]:
            continue
        while len(corners) > 1 and _slope(cost, accuracy, corners[-2], corners[-1]) <= _slope(
            cost, accuracy, corners[-1], index
        ):
            corners.pop()
        corners.append(index)
    return np.array(corners)


def _slope(cost: F64, accuracy: F64, first: int, second: int) -> float:
    rise, run = accuracy[second] - accuracy[first], cost[second] - cost[first]
    return float(rise / run) if run > 0 else float("inf")


def _interval(values: F64) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
