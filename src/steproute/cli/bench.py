"""Measure routers on published routing benchmarks."""

import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from steproute.cli.options import Json, Seed
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal
from steproute.core.seeded import uniform
from steproute.evaluation.formatting import percent, percent_interval
from steproute.evaluation.resampling import RESAMPLES
from steproute.evaluation.tier_rows import read_rows
from steproute.evaluation.tiers import CODING, HIGH, LOW, METRICS, TierRow, TierScores, by_workload, score_tiers

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

RULE = "by workload"
TAIL = "prefix tail"


@app.callback()
def group() -> None:
    """Measure routers on published routing benchmarks."""


@app.command(cls=PlainCommand)
def twinrouter(
    data: Annotated[
        Path,
        typer.Option(help="Rows of TwinRouterBench's static track, .jsonl or .jsonl.gz: as released, or only counts."),
    ],
    split: Annotated[str, typer.Option(help="Only rows of this `split`, if the rows name one.")] = "",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Score routers on TwinRouterBench's static track: whether each step's tier suffices, and what it saves.

    Costs follow the benchmark's cache rule. The rule "coding workload: high, everything else: low" is always in the
    table, and the rows of the coding workload alone are a table of their own: only there do steps differ.

    Example: steproute bench twinrouter --data question_bank.jsonl
    """
    rows, estimated = read_rows(data, split)
    predicted = _routers(rows, seed)
    coding = [place for place, row in enumerate(rows) if row.workload == CODING]
    tables = {"all rows": _scored(rows, predicted, range(len(rows)), seed)}
    if coding:
        tables[f"{CODING} rows alone"] = _scored(rows, predicted, coding, seed)
    if json:
        typer.echo(jsonlib.dumps(_document(tables, estimated)))
        return
    console = Terminal()
    for title, scores in tables.items():
        console.print(_table(title, rows if title == "all rows" else [rows[place] for place in coding], scores))
    for text in _findings(tables, estimated):
        console.print(text, highlight=False)


def _routers(rows: Sequence[TierRow], seed: int) -> dict[str, list[int]]:
    """Each router's tiers. The trained one has seen no row of the instance that it decides about."""
    from steproute.learn.tier_router import out_of_fold_tiers

    features, instances = np.array([row.features for row in rows]), [row.instance for row in rows]
    return {
        "always low": [LOW] * len(rows),
        "always high": [HIGH] * len(rows),
        "mixing, half high": [HIGH if uniform(f"{seed}/{row.id}") < 0.5 else LOW for row in rows],
        RULE: by_workload(rows),
        TAIL: out_of_fold_tiers(features, [row.gold for row in rows], instances, seed),
        "gold": [row.gold for row in rows],
    }


def _scored(
    rows: Sequence[TierRow], predicted: Mapping[str, Sequence[int]], places: Sequence[int], seed: int
) -> dict[str, TierScores]:
    chosen = [rows[place] for place in places]
    return {
        name: score_tiers(chosen, [tiers[place] for place in places], RESAMPLES, np.random.default_rng(seed))
        for name, tiers in predicted.items()
    }


def _table(title: str, rows: Sequence[TierRow], scores: Mapping[str, TierScores]) -> Table:
    runs = len({(row.workload, row.instance) for row in rows})
    table = Table(title=f"{title}: {len(rows)} rows of {runs} runs", title_justify="left")
    table.add_column("router", no_wrap=True)
    for name in METRICS:
        table.add_column(name, justify="right")
    for router, each in scores.items():
        cells = [percent(each.values[name]) for name in METRICS]
        cells[METRICS.index("cost")] = percent_interval(each.values["cost"], each.intervals["cost"].ends)
        table.add_row(router, *cells)
    return table


def _findings(tables: Mapping[str, Mapping[str, TierScores]], estimated: bool) -> list[str]:
    """What the tables say, in words."""
    rule, gold, low = (tables["all rows"][name].values["combined"] for name in (RULE, "gold", "always low"))
    share = f", {percent((rule - low) / (gold - low))} of what separates always-low from gold" if gold > low else ""
    said = [
        f"The rule 'coding workload: high, else low' scores {percent(rule)} combined{share}. It looks at no step, so "
        "most of this track measures whether a router can tell workloads apart."
    ]
    for title, scores in tables.items():
        if title != "all rows":
            cost, gold_cost = scores[TAIL], scores["gold"].values["cost"]
            shown = percent_interval(cost.values["cost"], cost.intervals["cost"].ends)
            said.append(
                f"Step routing is what the {title} measure: gold saves {percent(gold_cost)} of always-high there, "
                f"the router by the prefix's tail {shown}."
            )
    if estimated:
        said.append("Tokens are estimated at four characters each, so dollars differ from the published ones.")
    return said


def _document(tables: Mapping[str, Mapping[str, TierScores]], estimated: bool) -> dict[str, object]:
    return {
        "tokens_estimated": estimated,
        "tables": {
            title: {
                name: {**each.values, **{f"{key}_ci95": interval.ends for key, interval in each.intervals.items()}}
                for name, each in scores.items()
            }
            for title, scores in tables.items()
        },
    }
