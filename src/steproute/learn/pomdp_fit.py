"""Fit TRIM-POMDP's model to labelled, scored solutions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.errors import DatasetError
from steproute.policies.step_pomdp import DERAILED, F64, NEWEST_WRONG, ON_TRACK

BINS: Final = 20
MAX_STEPS: Final = 30
_PARTS: Final = 4
_HAZARD_BANDWIDTH: Final = 0.1
_FEWEST_STEPS: Final = 2
_erf = np.vectorize(math.erf, otypes=[float])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSolution:
    """One solution: the score of each step, and the index of the first wrong one, None where all are right."""

    scores: tuple[float, ...]
    first_wrong: int | None


def states_seen(solutions: Sequence[LabelledSolution]) -> tuple[F64, F64, F64]:
    """Observations (least earlier score, newest score) by hidden state, each (examples, 2).

    A right solution is cut at each quarter and gives `on track`; the prefix that ends at the first error gives `newest
    step wrong`; prefixes that end at each quarter of what follows give `derailed`. Source: TRIM, TRIM-POMDP's fit.
    """
    found: tuple[list[tuple[float, float]], ...] = ([], [], [])
    for solution in solutions:
        count = len(solution.scores)
        if solution.first_wrong is None:
            for end in _cuts(0, count):
                found[ON_TRACK].append(_seen(solution.scores[:end]))
        else:
            wrong = solution.first_wrong + 1
            found[NEWEST_WRONG].append(_seen(solution.scores[:wrong]))
            for end in _cuts(wrong, count):
                found[DERAILED].append(_seen(solution.scores[:end]))
    return tuple(np.array(rows, float).reshape(-1, 2) for rows in found)  # type: ignore[return-value]


def fit_observations(solutions: Sequence[LabelledSolution], bins: int = BINS) -> F64:
    """P(bin of least earlier score, bin of newest score | state), (3, bins, bins); each state's sum is 1.

    A Gaussian kernel density estimate with Scott's bandwidth on each axis, reflected at the borders of [0, 1]² (nine
    images), integrated exactly over each bin. Raises DatasetError where a state has fewer than two examples.
    """
    grids = []
    for name, rows in zip(("on track", "derailed", "newest step wrong"), states_seen(solutions), strict=True):
        if len(rows) < 2:
            raise DatasetError(
                f"labelled solutions: {len(rows)} examples of {name!r}. Two are needed, hundreds better."
            )
        width = np.maximum(rows.std(0, ddof=1), 1e-3) * len(rows) ** (-1 / 6)
        least, newest = (_bin_masses(rows[:, axis], width[axis], bins) for axis in range(2))
        grid = least.T @ newest / len(rows)
        grids.append(grid / grid.sum())
    return np.stack(grids)


def fit_hazard(step_counts: Sequence[int], max_steps: int = MAX_STEPS) -> F64:
    """h(0) … h(max_steps): the probability that step n is the last one of a solution that has at least n steps.

    Step counts are clipped to [2, max_steps] and smoothed by a Gaussian kernel of a tenth of their deviation; h is 0
    before step 2 and 1 at the last. Source: TRIM, TRIM-POMDP's terminal predictor.
    """
    if not len(step_counts):
        raise DatasetError("step counts: there are none. Give the lengths of weak solutions.")
    counts = np.clip(np.asarray(step_counts, float), _FEWEST_STEPS, max_steps)
    width = max(counts.std(ddof=1) if len(counts) > 1 else 0.0, 1e-3) * _HAZARD_BANDWIDTH
    edges = np.arange(_FEWEST_STEPS, max_steps + 2) - 0.5
    mass = np.diff(_normal_cdf((edges[:, None] - counts) / width).mean(1))
    left = mass[::-1].cumsum()[::-1]
    hazard = np.zeros(max_steps + 1)
    hazard[_FEWEST_STEPS:] = np.divide(mass, left, out=np.ones_like(mass), where=left > 1e-12)
    hazard[-1] = 1.0
    return hazard


def _cuts(start: int, end: int) -> list[int]:
    """Where the steps after `start` are cut: at each quarter, and at the end."""
    size = max(1, math.ceil((end - start) / _PARTS))
    return sorted({min(start + part * size, end) for part in range(1, _PARTS + 1)} - {start})


def _seen(scores: tuple[float, ...]) -> tuple[float, float]:
    return min(scores[:-1], default=1.0), scores[-1]


def _bin_masses(values: F64, width: float, bins: int) -> F64:
    """(values, bins): how much of each reflected kernel lies in each bin."""
    edges = np.linspace(0, 1, bins + 1)
    images = (values[:, None], -values[:, None], 2 - values[:, None])
    below = sum(_normal_cdf((edges - image) / width) for image in images)
    return np.diff(np.asarray(below), axis=1)


def _normal_cdf(z: F64) -> F64:
    found: F64 = (1 + _erf(z / math.sqrt(2))) / 2
    return found
