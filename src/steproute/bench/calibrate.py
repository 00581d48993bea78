"""The knob for a budget or a target: chosen on one half of the problems, measured on the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.bench.bootstrap import RESAMPLES, Interval, Outcomes
from steproute.bench.curves import F64
from steproute.core.errors import ConfigError, DatasetError
from steproute.policies.mixture import Mix

LEAST_PROBLEMS: Final = 30
WIDEST: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A mix on problems that did not choose it, with 95 % bootstrap intervals.

    strong_share: strong tokens over those of always-strong; accuracy_share: accuracy over that of always-strong.
    """

    problems: int
    accuracy: float
    strong_share: float
    accuracy_share: float
    strong_share_ci95: Interval
    accuracy_share_ci95: Interval


def halves(problem_ids: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the problems that choose and of those that measure, by a hash of the id, whatever the order."""
    first = np.array([hashlib.blake2b(name.encode()).digest()[0] % 2 == 0 for name in problem_ids], bool)
    return np.flatnonzero(first), np.flatnonzero(~first)


def mix_for_budget(knobs: Sequence[float], swept: Outcomes, strong: Outcomes, budget: float) -> Mix:
    """The most accurate mix of two knobs that spends `budget`, a share of always-strong's tokens.

    A mix of two knobs reaches every point between them, so the best one lies on the upper hull of the knobs' points.
    Raises ConfigError for a budget that the cheapest knob exceeds.
    """
    cost, accuracy = _points(swept, strong)
    corners = _upper_hull(cost, accuracy)
    if budget < cost[corners[0]]:
        raise ConfigError(
            f"budget: {budget:g} is below {cost[corners[0]]:.3g}, what the cheapest knob spends. Give a larger one."
        )
    return _between(knobs, corners, cost[corners], budget)


def mix_for_target(knobs: Sequence[float], swept: Outcomes, strong: Outcomes, target: float) -> Mix:
    """The cheapest mix of two knobs that reaches `target`, a share of always-strong's accuracy.

    Raises ConfigError for a target that no knob reaches.
    """
    cost, accuracy = _points(swept, strong)
    corners = _upper_hull(cost, accuracy)
    reached = accuracy[corners] / strong.correct.mean()
    if target > reached[-1]:
        raise ConfigError(
            f"target: no knob reaches {target:.1%} of strong's accuracy; the best one has {reached[-1]:.1%}. Lower it."
        )
    return _between(knobs, corners, reached, target)


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
    right, strong_right, tokens, strong_tokens = rows.mean(axis=1)
    drawn = rows[:, rng.integers(count, size=(RESAMPLES, count))].mean(axis=2)
    spent, reached = _interval(drawn[2] / drawn[3]), _interval(drawn[0] / drawn[1])
    for name, interval in (("strong tokens", spent), ("strong accuracy", reached)):
        width = (interval.high - interval.low) / 2
        if not width <= WIDEST:
            needed = 2 * int(np.ceil(count * (width / WIDEST) ** 2))
            raise DatasetError(
                f"calibrate: {count} problems say the share of {name} to ± {width:.2f} only. Give about {needed}."
            )
    return Measured(
        problems=count,
        accuracy=float(right),
        strong_share=float(tokens / strong_tokens),
        accuracy_share=float(right / strong_right),
        strong_share_ci95=spent,
        accuracy_share_ci95=reached,
    )


def chosen(outcomes: Outcomes, indices: NDArray[np.intp]) -> Outcomes:
    """The outcomes of some problems."""
    return Outcomes(correct=outcomes.correct[..., indices], cost=outcomes.cost[..., indices])


def _points(swept: Outcomes, strong: Outcomes) -> tuple[F64, F64]:
    if not (strong.correct.any() and strong.cost.any()):
        raise DatasetError("calibrate: strong solved none of the problems that choose. Check the models or the data.")
    return swept.cost.mean(axis=1) / strong.cost.mean(), swept.correct.mean(axis=1)


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


def _between(knobs: Sequence[float], corners: NDArray[np.intp], values: F64, goal: float) -> Mix:
    """The mix of the two corners around `goal`; one corner alone where the goal lies beyond the ends."""
    after = int(np.searchsorted(values, goal))
    if after == 0 or after == len(values):
        knob = knobs[corners[min(after, len(values) - 1)]]
        return Mix(low=knob, high=knob, share=0.0)
    before, beyond = float(values[after - 1]), float(values[after])
    return Mix(low=knobs[corners[after - 1]], high=knobs[corners[after]], share=(goal - before) / (beyond - before))


def _interval(values: F64) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
