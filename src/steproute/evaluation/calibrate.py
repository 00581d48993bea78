"""The knob for a budget or a target: chosen on one half of the problems, measured on the other."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError, DatasetError
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.resampling import RESAMPLES, Interval, draws, percentiles
from steproute.evaluation.summary import Axis
from steproute.policies.mixture import BudgetCurve, Mix

LEAST_PROBLEMS: Final = 30
WIDEST: Final = 0.1


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked for: a share of always-strong's tokens, dollars per problem, or a share of its accuracy."""

    value: float
    kind: Literal["tokens", "usd", "accuracy"]

    @property
    def axis(self) -> Axis:
        """The cost that is spent."""
        return "usd" if self.kind == "usd" else "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a mix spends of one kind of cost per problem; share: over what always-strong spends of it."""

    mean: float
    share: float
    share_ci95: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A mix on problems that did not choose it, with 95 % bootstrap intervals.

    spent: strong tokens and dollars, those of them that always-strong spends any of; accuracy_share: accuracy over that
    of always-strong. The intervals cover both halves: other problems would have chosen another mix, and measured
    another cost.
    """

    problems: int
    accuracy: float
    accuracy_share: float
    accuracy_share_ci95: Interval
    spent: Mapping[Axis, Spending]


def halves(problem_ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the problems that choose and of those that measure, by a hash of the id, whatever the order."""
    first = np.array([hashlib.blake2b(name.encode()).digest()[0] % 2 == 0 for name in problem_ids], bool)
    return np.flatnonzero(first), np.flatnonzero(~first)


def check_enough(measuring: int) -> None:
    """Raises DatasetError if so many problems are too few to measure a mix on, whatever they show."""
    if measuring < LEAST_PROBLEMS:
        raise DatasetError(
            f"{measuring} problems are left to measure on, {LEAST_PROBLEMS} are the least.",
            where="calibrate",
            remedy="Give more problems.",
        )


def budget_curve(knobs: Sequence[float], swept: Outcomes, axis: Axis) -> tuple[BudgetCurve, F64]:
    """The knobs on the upper hull of cost and accuracy, and the accuracy of each.

    A mix of two knobs reaches every point between them, so no mix is better than those of neighbours on the hull.
    """
    return _budget_curve(knobs, swept.cost.mean(axis=1), swept.correct.mean(axis=1), axis)


def _budget_curve(knobs: Sequence[float], cost: F64, accuracy: F64, axis: Axis) -> tuple[BudgetCurve, F64]:
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
    cost = _cost_for(goal, curve, accuracy, float(strong.cost.mean()), float(strong.correct.mean()))
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


def _cost_for(goal: Goal, curve: BudgetCurve, accuracy: F64, strong_cost: float, strong_accuracy: float) -> float:
    """The same without errors: beyond the curve, its nearest end is the best that there is."""
    if goal.kind == "accuracy":
        return float(np.interp(goal.value * strong_accuracy, accuracy, curve.costs))
    return goal.value if goal.kind == "usd" else goal.value * strong_cost


def relative_deviation(mix: Mix, knobs: Sequence[float], swept: Outcomes) -> float:
    """Standard deviation of one problem's cost over its mean: over the problems and over which knob a problem gets."""
    low, high = (swept.cost[list(knobs).index(knob)] for knob in (mix.low, mix.high))
    mean = float(((1 - mix.share) * low + mix.share * high).mean())
    square = float(((1 - mix.share) * low**2 + mix.share * high**2).mean())
    return math.sqrt(max(square - mean**2, 0.0)) / mean if mean else 1.0


def measure_mix(
    mix: Mix,
    goal: Goal,
    knobs: Sequence[float],
    choosing: tuple[Outcomes, Outcomes],
    measuring: Mapping[Axis, tuple[Outcomes, Outcomes]],
    rng: np.random.Generator,
) -> Measured:
    """What a mix spends and reaches, in expectation over which problems get which knob.

    choosing, measuring: the sweep (knob, problem) and always-strong (problem,) on either half; choosing by the goal's
    cost, measuring by it and any other. Raises DatasetError if the problems are too few for intervals that say
    something: under 30 that measure, or an interval of either share that their number alone makes wider than ± 0.1.
    """
    swept, strong = measuring[goal.axis]
    count, weights = len(strong.correct), _weights(mix, knobs)
    check_enough(count)
    counts = np.concatenate(list(draws(count, RESAMPLES, rng)))
    _check_width(count, count + len(choosing[1].correct), *_Means.of(swept, strong, counts).shares(weights))
    again = _Means.of(*choosing, np.concatenate(list(draws(len(choosing[1].correct), RESAMPLES, rng))))
    rechosen = np.stack([_weights(again.mix(goal, knobs, index), knobs) for index in range(RESAMPLES)])
    accuracy = float(weights @ swept.correct.mean(axis=1))
    return Measured(
        problems=count,
        accuracy=accuracy,
        accuracy_share=accuracy / float(strong.correct.mean()),
        accuracy_share_ci95=percentiles(_Means.of(swept, strong, counts).shares(rechosen)[1]),
        spent={
            axis: _spending(*both, counts, weights, rechosen) for axis, both in measuring.items() if both[1].cost.any()
        },
    )


def _spending(swept: Outcomes, strong: Outcomes, counts: F64, weights: F64, rechosen: F64) -> Spending:
    """What a mix spends; counts: of each problem in each resample, rechosen: the mix that each would have chosen."""
    mean = float(weights @ swept.cost.mean(axis=1))
    return Spending(
        mean=mean,
        share=mean / float(strong.cost.mean()),
        share_ci95=percentiles(_Means.of(swept, strong, counts).shares(rechosen)[0]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    """Means over resampled problems: of the knobs, (resample, knob), and of always-strong, (resample,)."""

    cost: F64
    accuracy: F64
    strong_cost: F64
    strong_accuracy: F64

    @classmethod
    def of(cls, swept: Outcomes, strong: Outcomes, counts: F64) -> "_Means":
        problems = counts.sum(axis=1)
        return cls(
            cost=counts @ swept.cost.T / problems[:, None],
            accuracy=counts @ swept.correct.T / problems[:, None],
            strong_cost=counts @ strong.cost / problems,
            strong_accuracy=counts @ strong.correct / problems,
        )

    def shares(self, weights: F64) -> tuple[F64, F64]:
        """Cost and accuracy of a mix over those of always-strong, NaN if that has none; weights: (…, knob)."""
        cost, accuracy = (weights * self.cost).sum(axis=1), (weights * self.accuracy).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return cost / self.strong_cost, accuracy / self.strong_accuracy

    def mix(self, goal: Goal, knobs: Sequence[float], index: int) -> Mix:
        """What one resample would have chosen."""
        curve, accuracy = _budget_curve(knobs, self.cost[index], self.accuracy[index], goal.axis)
        strong = float(self.strong_cost[index]), float(self.strong_accuracy[index])
        return curve.mix(_cost_for(goal, curve, accuracy, *strong))


def _weights(mix: Mix, knobs: Sequence[float]) -> F64:
    weights = np.zeros(len(knobs))
    weights[list(knobs).index(mix.low)] += 1 - mix.share
    weights[list(knobs).index(mix.high)] += mix.share
    return weights


def _check_width(count: int, total: int, costs: F64, accuracies: F64) -> None:
    """Raises DatasetError if `count` of `total` problems measure a share too roughly, with how many do for both."""
    widths = {"cost": _half_width(costs), "accuracy": _half_width(accuracies)}
    wide = {name: width for name, width in widths.items() if not width <= WIDEST}
    if not wide:
        return
    found = " and ".join(f"the share of strong's {name} to ± {width:.2f}" for name, width in wide.items())
    widest = max(wide.values())
    needed = f"--problems {math.ceil(total * (widest / WIDEST) ** 2)}" if math.isfinite(widest) else "more problems"
    raise DatasetError(
        f"of your {total} problems {count} measure, and they say {found} only; ± {WIDEST:.2f} "
        f"is needed. Nothing is lost: the same command with {needed} goes on, if the data hold "
        "as many.",
        where="calibrate",
    )


def _half_width(shares: F64) -> float:
    """Of the 95 % interval, infinite if some resamples have no share."""
    interval = percentiles(shares)
    width = (interval.high - interval.low) / 2
    return width if math.isfinite(width) else math.inf


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
