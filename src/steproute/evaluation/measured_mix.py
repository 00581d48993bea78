"""A calibrated mix of two knobs, measured on the half of the problems that did not choose it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.calibrate import Goal, budget_curve_of, nearest_cost_for
from steproute.evaluation.resampling import RESAMPLES, Interval, draws, percentiles
from steproute.evaluation.summary import Axis
from steproute.policies.mixture import Mix

LEAST_PROBLEMS: Final = 30
WIDEST: Final = 0.1


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


def check_enough(measuring: int) -> None:
    """Raises DatasetError if so many problems are too few to measure a mix on."""
    if measuring < LEAST_PROBLEMS:
        raise DatasetError(
            f"{measuring} problems are left to measure on; at least {LEAST_PROBLEMS} are needed.",
            where="calibrate",
            remedy="Give more problems.",
        )


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
        curve, accuracy = budget_curve_of(knobs, self.cost[index], self.accuracy[index], goal.axis)
        strong = float(self.strong_cost[index]), float(self.strong_accuracy[index])
        return curve.mix(nearest_cost_for(goal, curve, accuracy, *strong))


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
    precision = " and ".join(f"the share of strong's {name} to ± {width:.2f}" for name, width in wide.items())
    widest = max(wide.values())
    needed = f"--problems {math.ceil(total * (widest / WIDEST) ** 2)}" if math.isfinite(widest) else "more problems"
    raise DatasetError(
        f"of your {total} problems {count} measure, and they give {precision}; ± {WIDEST:.2f} is needed. Nothing is "
        f"lost: the same command with {needed} continues, if the data have as many.",
        where="calibrate",
    )


def _half_width(shares: F64) -> float:
    """Of the 95 % interval, infinite if some resamples have no share."""
    interval = percentiles(shares)
    width = (interval.high - interval.low) / 2
    return width if math.isfinite(width) else math.inf
