"""Who solves what under one budget: a multiple-choice knapsack of one route per problem.

`right` and `cost` are (problem, route): the predicted probability of a correct answer, and the predicted cost. The
budget is for all problems together. `assign` relaxes the budget to a price; `exact` is its oracle, for small integers;
`local` is the baseline without a common budget. Source: CONCUR (arXiv 2512.09386) §4, whose own solver is `exact`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError

_BISECTIONS: Final = 60
_ROUNDING: Final = 1e-9
_IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The route of each problem, (problem,).

    price: the correct answers per unit of cost at which each problem would choose for itself, 0 if the budget does not
    bind. right, cost: sums of what is predicted of the chosen routes.
    """

    routes: _IntArray
    price: float
    right: float
    cost: float


def assign(right: F64, cost: F64, budget: float) -> Assignment:
    """The assignment with the most correct answers that is found under a budget.

    Bisection finds the least price at which right − price × cost fits into the budget. What is left is spent on the
    problems that gain the most per unit. The result is below the optimum by less than one problem's gain. Raises
    ConfigError, which names the least budget, if the cheapest routes of all problems exceed it.
    """
    least = _checked(right, cost, budget)
    price, chosen = 0.0, _at(right, cost, 0.0)
    if _sum(cost, chosen) > budget:
        price, chosen = _bisected(right, cost, budget, least)
    chosen = _filled(right, cost, budget, chosen)
    return Assignment(routes=chosen, price=price, right=_sum(right, chosen), cost=_sum(cost, chosen))


def exact(right: F64, cost: NDArray[np.int64], budget: int) -> Assignment:
    """The optimum for costs in whole units, by dynamic programming: problems × routes × budget operations.

    The memory is problems × budget bytes. Raises ConfigError as `assign`, and for costs that are not whole.
    """
    if not np.issubdtype(np.asarray(cost).dtype, np.integer):
        raise ConfigError("are no whole numbers.", where="cost", remedy="Round them to units, or use assign.")
    _checked(right, cost.astype(float), budget)
    value = np.zeros(budget + 1)  # (spent at most,)
    taken = np.zeros((len(right), budget + 1), np.int16)
    for problem, (gains, costs) in enumerate(zip(right, cost.tolist(), strict=True)):
        following = np.full(budget + 1, -np.inf)
        for route, (gain, units) in enumerate(zip(gains, costs, strict=True)):
            if units <= budget:
                with_route = np.concatenate([np.full(units, -np.inf), value[: budget + 1 - units] + gain])
                better = with_route > following
                following[better], taken[problem, better] = with_route[better], route
        value = following
    chosen, left = np.zeros(len(right), np.intp), budget
    for problem in reversed(range(len(right))):
        chosen[problem] = taken[problem, left]
        left -= int(cost[problem, chosen[problem]])
    return Assignment(routes=chosen, price=0.0, right=_sum(right, chosen), cost=_sum(cost.astype(float), chosen))


def local(right: F64, cost: F64, budget: float) -> Assignment:
    """Each problem's most accurate route that costs no more than its equal share; its cheapest one if none fits.

    So the sum exceeds the budget if too many problems fit nothing. `budget` is that of all problems.
    """
    share = budget / len(right)
    fits = cost <= share
    value = np.where(fits, right, -np.inf)
    chosen = np.where(fits.any(axis=1), value.argmax(axis=1), cost.argmin(axis=1))
    return Assignment(routes=chosen, price=0.0, right=_sum(right, chosen), cost=_sum(cost, chosen))


def _checked(right: F64, cost: F64, budget: float) -> float:
    """The least that all problems cost."""
    if right.shape != cost.shape or right.ndim != 2 or not right.size:
        raise ConfigError(f"right is {right.shape} and cost {cost.shape}.", where="forecast")
    if not (np.isfinite(cost).all() and np.isfinite(right).all() and (cost >= 0).all()):
        raise ConfigError("holds costs below 0 or numbers that are not finite.", where="forecast")
    least = float(cost.min(axis=1).sum())
    if not budget >= least * (1 - _ROUNDING):
        affordable = int((np.cumsum(np.sort(cost.min(axis=1))) <= budget).sum())
        raise ConfigError(
            f"{budget:.4g} pays for {affordable} of {len(cost)} problems by their cheapest routes.",
            where="budget",
            remedy=f"Give at least {least:.4g}, or fewer problems.",
        )
    return least


def _bisected(right: F64, cost: F64, budget: float, least: float) -> tuple[float, _IntArray]:
    """The least price that fits, within rounding, and its choice."""
    extra = cost - cost.min(axis=1, keepdims=True)
    low, high = 0.0, float(1 / extra[extra > 0].min())
    chosen = _at(right, cost, high)
    if _sum(cost, chosen) > budget:
        chosen = cost.argmin(axis=1)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        found = _at(right, cost, middle)
        if _sum(cost, found) <= budget:
            high, chosen = middle, found
        else:
            low = middle
    return high, chosen


def _at(right: F64, cost: F64, price: float) -> _IntArray:
    """Each problem's best route at a price; of equally good ones the cheapest."""
    score = right - price * cost
    top = score >= score.max(axis=1, keepdims=True)
    chosen: _IntArray = np.where(top, cost, np.inf).argmin(axis=1)
    return chosen


def _filled(right: F64, cost: F64, budget: float, chosen: _IntArray) -> _IntArray:
    """Spend what is left on the exchanges that gain the most per unit, one for each problem at most."""
    rows = np.arange(len(right))
    gain, extra = right - right[rows, chosen][:, None], cost - cost[rows, chosen][:, None]
    left = budget - _sum(cost, chosen)
    worth = np.where((gain > 0) & (extra <= left), gain / np.maximum(extra, 1e-300), 0.0)
    problems, routes = np.unravel_index(np.argsort(-worth, axis=None, kind="stable"), worth.shape)
    filled, changed = chosen.copy(), np.zeros(len(right), bool)
    for problem, route in zip(problems[: (worth > 0).sum()], routes, strict=False):
        if not changed[problem] and extra[problem, route] <= left:
            filled[problem], changed[problem] = route, True
            left -= extra[problem, route]
    return filled


def _sum(values: F64, chosen: _IntArray) -> float:
    return float(values[np.arange(len(values)), chosen].sum())
