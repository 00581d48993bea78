"""Fit TRIM-POMDP's model to labelled, scored solutions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.errors import DatasetError
from steproute.policies.trim.pomdp_model import DERAILED, F64, NEWEST_INCORRECT, ON_TRACK

BINS: Final = 20
MAX_STEPS: Final = 30
STATES: Final = ("on track", "derailed", "newest step incorrect")
_PARTS: Final = 4
_LEAST_WEIGHT: Final = 2 - 1e-9
_HAZARD_BANDWIDTH: Final = 0.1
_FEWEST_STEPS: Final = 2
_Z: Final = np.linspace(-9, 9, 18_001)
_CDF: Final = np.array([(1 + math.erf(z / math.sqrt(2))) / 2 for z in _Z])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSolution:
    """One solution: the score of each step, and the index of the first incorrect one, None if all are correct."""

    scores: tuple[float, ...]
    first_error: int | None


def states_seen(solutions: Sequence[LabelledSolution]) -> tuple[F64, F64, F64]:
    """Observations (least earlier score, newest score) by hidden state, each (examples, 2).

    A correct solution is cut at each quarter and gives `on track`; the prefix that ends at the first error gives
    `newest step incorrect`; prefixes that end at each quarter of what follows give `derailed`. Source: TRIM,
    TRIM-POMDP's fit.
    """
    found: tuple[list[tuple[float, float]], ...] = ([], [], [])
    for solution in solutions:
        count = len(solution.scores)
        if solution.first_error is None:
            for end in cuts(0, count):
                found[ON_TRACK].append(observation(solution.scores[:end]))
        else:
            end_of_error = solution.first_error + 1
            found[NEWEST_INCORRECT].append(observation(solution.scores[:end_of_error]))
            for end in cuts(end_of_error, count):
                found[DERAILED].append(observation(solution.scores[:end]))
    return tuple(np.array(rows, float).reshape(-1, 2) for rows in found)  # type: ignore[return-value]


def fit_observations(solutions: Sequence[LabelledSolution], bins: int = BINS) -> F64:
    """P(bin of least earlier score, bin of newest score | state), (3, bins, bins); each state's sum is 1.

    Raises DatasetError where a state has fewer than two examples.
    """
    rows = states_seen(solutions)
    return np.stack([density(name, each, np.ones(len(each)), bins) for name, each in zip(STATES, rows, strict=True)])


def density(state: str, rows: F64, weights: F64, bins: int = BINS) -> F64:
    """P(bin of least earlier score, bin of newest score) in one state, (bins, bins), from weighted examples, (n, 2).

    A Gaussian kernel density estimate with Scott's bandwidth on each axis, reflected at the borders of [0, 1]² (nine
    images), integrated exactly over each bin. Raises DatasetError for examples that weigh less than two.
    """
    total = float(weights.sum())
    if total < _LEAST_WEIGHT:
        raise DatasetError(f"labelled solutions: {total:.3g} examples of {state!r}. Two are needed, hundreds better.")
    share = weights / total
    centred = rows - share @ rows
    deviation = np.sqrt(share @ centred**2 / (1 - share @ share))
    width = np.maximum(deviation, 1e-3) * float(share @ share) ** (1 / 6)
    least, newest = (_bin_masses(rows[:, axis], width[axis], bins) for axis in range(2))
    grid: F64 = (share[:, None] * least).T @ newest
    grid /= grid.sum()
    return grid


def fit_hazard(step_counts: Sequence[int], max_steps: int = MAX_STEPS) -> F64:
    """h(0) … h(max_steps): the probability that step n is the last one of a solution that has at least n steps.

    Step counts are clipped to [2, max_steps] and smoothed by a Gaussian kernel of a tenth of their deviation; h is 0
    before step 2 and 1 at the last. Source: TRIM, TRIM-POMDP's terminal predictor.
    """
    if not len(step_counts):
        raise DatasetError("step counts: there are none.", remedy="Give the lengths of weak solutions.")
    counts = np.clip(np.asarray(step_counts, float), _FEWEST_STEPS, max_steps)
    width = max(counts.std(ddof=1) if len(counts) > 1 else 0.0, 1e-3) * _HAZARD_BANDWIDTH
    edges = np.arange(_FEWEST_STEPS, max_steps + 2) - 0.5
    mass = np.diff(_normal_cdf((edges[:, None] - counts) / width).mean(1))
    left = mass[::-1].cumsum()[::-1]
    hazard = np.zeros(max_steps + 1)
    hazard[_FEWEST_STEPS:] = np.divide(mass, left, out=np.ones_like(mass), where=left > 1e-12)
    hazard[-1] = 1.0
    return hazard


def cuts(start: int, end: int) -> list[int]:
    """Where the steps after `start` are cut: at each quarter, and at the end."""
    size = max(1, math.ceil((end - start) / _PARTS))
    return sorted({min(start + part * size, end) for part in range(1, _PARTS + 1)} - {start})


def observation(scores: tuple[float, ...]) -> tuple[float, float]:
    """What a policy reads of a prefix's scores: the least earlier one, 1 where there is none, and the newest."""
    return min(scores[:-1], default=1.0), scores[-1]


def _bin_masses(values: F64, width: float, bins: int) -> F64:
    """(values, bins): how much of each reflected kernel lies in each bin."""
    edges = np.linspace(0, 1, bins + 1)
    images = (values[:, None], -values[:, None], 2 - values[:, None])
    below = sum(_normal_cdf((edges - image) / width) for image in images)
    return np.diff(np.asarray(below), axis=1)


def _normal_cdf(z: F64) -> F64:
    """To within 1e-7, from a table."""
    found: F64 = np.interp(z, _Z, _CDF)
    return found
