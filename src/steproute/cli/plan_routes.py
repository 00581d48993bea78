"""`steproute plan --budget`: which route solves each problem of a batch, for one budget of all."""

import json
import math
import re
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from steproute.cli.terminal import Terminal, print_json
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.formatting import dollars
from steproute.evaluation.knapsack import Assignment, assign
from steproute.policies.route_table_file import read_table
from steproute.policies.routes import CostAxis, Forecast

_BUDGET: Final = re.compile(r"\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(usd|tokens|s)\s*", re.IGNORECASE)
_AXES: Final[dict[str, CostAxis]] = {"usd": "usd", "tokens": "tokens", "s": "seconds"}


def plan_routes(folder: Path, budget: str, data: str, count: int | None, fields: Fields, *, as_json: bool) -> None:
    """Print the plan. Raises ConfigError for a budget that does not pay for all problems, ArtifactError, DatasetError.

    count: of problems, all if it is None.
    """
    amount, axis = _parsed(budget)
    if not data:
        raise ConfigError("which problems?", where="data", remedy="Name a data set or a file.")
    table = read_table(folder).table
    problems = load_problems(data, count, 0, fields)
    forecast = table.forecast([problem.text for problem in problems])
    found = assign(forecast.right, forecast.cost(axis), amount)
    if as_json:
        print_json(json.dumps(_document(forecast, found, problems, axis), indent=2))
    else:
        _print(forecast, found, amount, axis)


def _parsed(text: str) -> tuple[float, CostAxis]:
    match = _BUDGET.fullmatch(text)
    if match is None or not 0 < float(match[1]) < math.inf:
        raise ConfigError(
            f"{text!r} is no budget.", where="budget", remedy="Give what all problems may cost, such as 20usd."
        )
    return float(match[1]), _AXES[match[2].lower()]


def _document(forecast: Forecast, found: Assignment, problems: list[Problem], axis: CostAxis) -> dict[str, object]:
    cost = forecast.cost(axis)
    rows = [
        {
            "problem_id": problem.id,
            "route": forecast.routes[route],
            "right": round(float(forecast.right[i, route]), 4),
            axis: float(f"{cost[i, route]:.6g}"),
        }
        for i, (problem, route) in enumerate(zip(problems, found.routes.tolist(), strict=True))
    ]
    return {"price": found.price, "right": found.right / len(rows), axis: found.cost, "problems": rows}


def _print(forecast: Forecast, found: Assignment, amount: float, axis: CostAxis) -> None:
    table = Table("route", "problems", "correct", "cost", title=f"{len(found.routes)} problems for {_of(amount, axis)}")
    for column in table.columns[1:]:
        column.justify = "right"
    for index, route in enumerate(forecast.routes):
        chosen = found.routes == index
        right, cost = (values[chosen, index] for values in (forecast.right, forecast.cost(axis)))
        table.add_row(
            route, str(len(right)), f"{right.mean():.1%}" if len(right) else "–", _of(float(cost.sum()), axis)
        )
    table.add_section()
    rows = len(found.routes)
    table.add_row("all", str(rows), f"{found.right / rows:.1%}", _of(found.cost, axis))
    console = Terminal()
    console.print(table)
    best = _affordable(forecast, amount, axis)
    if best is not None:
        mean, cost = float(forecast.right[:, best].mean()), float(forecast.cost(axis)[:, best].sum())
        console.print(
            f"best single route within the budget: {forecast.routes[best]}, {mean:.1%} for {_of(cost, axis)}",
            highlight=False,
        )
    console.print("Both columns are predictions. A run may cost more; bound it with --max-usd.", highlight=False)


def _affordable(forecast: Forecast, amount: float, axis: CostAxis) -> int | None:
    """The most accurate route whose cost for all problems fits, if there is one."""
    fits = forecast.cost(axis).sum(axis=0) <= amount
    return int(np.where(fits, forecast.right.mean(axis=0), -1.0).argmax()) if fits.any() else None


def _of(amount: float, axis: CostAxis) -> str:
    return dollars(amount) if axis == "usd" else f"{amount:,.0f} {'tokens' if axis == 'tokens' else 's'}"
