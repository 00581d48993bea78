"""`steproute explain`: what every route of a table would reach and cost on a problem, and which one is chosen."""

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from steproute.cli.options import Config, Json
from steproute.cli.solve import asked_problem
from steproute.cli.terminal import Terminal, print_json
from steproute.config import read_config
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.formatting import dollars
from steproute.policies.route_table_file import read_table
from steproute.policies.routes import Forecast


def explain(
    text: Annotated[str | None, typer.Argument(help="The problem.")] = None,
    config: Config = None,
    sample: Annotated[int | None, typer.Option(help="Explain the lab's test problem of this number instead.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A folder of `train --policy routes`. Default: that of the configuration file.")
    ] = None,
    knob: Annotated[
        float | None,
        typer.Option(help="w, the weight of a correct answer against cost. Default: that of the file, or 0.5."),
    ] = None,
    json: Json = False,
) -> None:
    """Show every route with its predicted accuracy and price on a problem, and the choice. No model is called.

    Example: steproute explain --policy runs/routes --knob 0.8 --sample 3
    """
    folder, weight = _route(config, policy, knob)
    family = read_table(folder)
    choice = family.at(weight, 0)
    forecast = family.table.forecast([_text(text, sample)])
    chosen = int(choice.rule.choose(forecast)[0])
    rows = _rows(forecast, choice.rule.price * forecast.cost(family.axis)[0], chosen)
    if json:
        print_json(jsonlib.dumps({"weight": weight, "routes": [asdict(row) for row in rows]}, indent=2))
    else:
        _print(rows, weight)


def _text(text: str | None, sample: int | None) -> str:
    problem = asked_problem(text, sample)
    return problem if isinstance(problem, str) else problem.text


def _route(config: Path | None, policy: Path | None, knob: float | None) -> tuple[Path, float]:
    """The table's folder and the weight: the options, then the configuration file."""
    route = None if config is None else read_config(config).route
    if policy is None and route is not None and "/" in route.policy:
        return Path(route.policy), route.knob if knob is None else knob
    if policy is None:
        raise ConfigError(
            "no route table is named.", where="policy", remedy="Give --policy runs/routes, made by `steproute train`."
        )
    return policy, 0.5 if knob is None else knob


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A route's predictions; score: the probability minus the cost at the weight's price."""

    route: str
    right: float
    usd: float
    tokens: float
    seconds: float
    score: float
    chosen: bool


def _rows(forecast: Forecast, charged: F64, chosen: int) -> list[_Row]:
    """Of each route, the best one first."""
    rows = [
        _Row(
            route=route,
            right=float(forecast.right[0, i]),
            usd=float(forecast.usd[0, i]),
            tokens=float(forecast.tokens[0, i]),
            seconds=float(forecast.seconds[0, i]),
            score=float(forecast.right[0, i] - charged[i]),
            chosen=i == chosen,
        )
        for i, route in enumerate(forecast.routes)
    ]
    return sorted(rows, key=lambda row: (not row.chosen, -row.score))


def _print(rows: Sequence[_Row], weight: float) -> None:
    table = Table("", "route", "correct", "$", "tokens", "seconds", "score", title=f"weight {weight:g}")
    table.columns[1].overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        numbers = f"{row.right:.1%}", dollars(row.usd), f"{row.tokens:.0f}", f"{row.seconds:.2f}", f"{row.score:.3f}"
        table.add_row("→" if row.chosen else "", row.route, *numbers)
    Terminal().print(table)
