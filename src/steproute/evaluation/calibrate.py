"""The knob for a budget or a target, chosen on one half of the problems."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.summary import Axis
from steproute.policies.mixture import BudgetCurve, Mix


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal: a share of always-strong's tokens, dollars per problem, or a share of its accuracy."""

    value: float
    kind: Literal["tokens", "usd", "accuracy"]

    @property
    def axis(self) -> Axis:
        """The cost that is spent."""
        return "usd" if self.kind == "usd" else "tokens"


def halves(problem_ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the problems that choose and of those that measure, by a hash of the id, in any order."""
    first = np.array([hashlib.blake2b(name.encode()).digest()[0] % 2 == 0 for name in problem_ids], bool)
    return np.flatnonzero(first), np.flatnonzero(~first)


def chosen(outcomes: Outcomes, indices: NDArray[np.intp]) -> Outcomes:
    """The outcomes of some problems."""
    return Outcomes(correct=outcomes.correct[..., indices], cost=outcomes.cost[..., indices])


def budget_curve(knobs: Sequence[float], swept: Outcomes, axis: Axis) -> tuple[BudgetCurve, F64]:
    """The knobs on the upper hull of cost and accuracy, and the accuracy of each.

    A mix of two knobs reaches every point between them, so no mix is better than those of neighbours on the hull.
    """
    return budget_curve_of(knobs, swept.cost.mean(axis=1), swept.correct.mean(axis=1), axis)


def budget_curve_of(knobs: Sequence[float], cost: F64, accuracy: F64, axis: Axis) -> tuple[BudgetCurve, F64]:
    """The same from the knobs' mean costs and accuracies, each (knob,)."""
    corners = _upper_hull(cost, accuracy)
    curve = BudgetCurve(
        axis=axis, knobs=tuple(knobs[corner] for corner in corners), costs=tuple(cost[corners].tolist())
    )
    return curve, accuracy[corners]


def cost_for(goal: Goal, curve: BudgetCurve, accuracy: F64, strong: Outcomes) -> float:
    """What a problem may cost for the goal to be met, on the curve's axis.

    accuracy: of each knob of the curve; strong: always-strong on the problems that choose. Raises ConfigError for a
    budget that the cheapest knob exceeds, or a target that no knob reaches.
    """
    cost = nearest_cost_for(goal, curve, accuracy, float(strong.cost.mean()), float(strong.correct.mean()))
    if goal.kind != "accuracy" and cost < curve.costs[0]:
        raise ConfigError(
            f"{cost:.4g} per problem is below {curve.costs[0]:.4g}, what the cheapest knob spends.",
            where="budget",
            remedy="Raise it.",
        )
    best = float(accuracy[-1] / strong.correct.mean())
    if goal.kind == "accuracy" and goal.value > best:
        raise ConfigError(
            f"no knob reaches {goal.value:.1%} of strong's accuracy; the best one has {best:.1%}.",
            where="target",
            remedy="Lower it.",
        )
    return cost


def nearest_cost_for(
    goal: Goal, curve: BudgetCurve, accuracy: F64, strong_cost: float, strong_accuracy: float
) -> float:
    """The same without errors: for a goal beyond the curve, what its nearest end costs."""
    if goal.kind == "accuracy":
        return float(np.interp(goal.value * strong_accuracy, accuracy, curve.costs))
    return goal.value if goal.kind == "usd" else goal.value * strong_cost


def relative_deviation(mix: Mix, knobs: Sequence[float], swept: Outcomes) -> float:
    """Standard deviation of one problem's cost over its mean: over the problems and over which knob a problem gets."""
    low, high = (swept.cost[list(knobs).index(knob)] for knob in (mix.low, mix.high))
    mean = float(((1 - mix.share) * low + mix.share * high).mean())
    square = float(((1 - mix.share) * low**2 + mix.share * high**2).mean())
    return math.sqrt(max(square - mean**2, 0.0)) / mean if mean else 1.0


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
