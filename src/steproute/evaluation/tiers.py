"""TwinRouterBench's static track: rows of agent runs, each with the cheapest sufficient tier, and the scorer.

Source: TwinRouterBench (arXiv 2605.18859) and `main/eval/section11.py` of CommonstackAI/TwinRouterBench at 7cbb0dea.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.usage import Price
from steproute.evaluation.resampling import LEVEL, Interval, draws

LOW, MID, MID_HIGH, HIGH = range(4)
TIERS: Final = ("low", "mid", "mid_high", "high")
CODING: Final = "swebench"
"""The workload whose steps differ in their tiers; on all others nearly every row is low."""
CACHE_STEPS: Final = 3
"""A tier's cache is lost if its last call is more than this many steps ago. The paper says five minutes, the code
counts steps."""
METRICS: Final = ("pass", "exact", "trajectory", "cost", "combined")


def _price(cache_read: str, cache_write: str, output: str) -> Price:
    """The static scorer has no uncached input: each token of a prompt is a cache write or a cache read."""
    return Price(
        input=Decimal(cache_write),
        cache_read=Decimal(cache_read),
        cache_write=Decimal(cache_write),
        output=Decimal(output),
        table="TwinRouterBench 7cbb0dea",
    )


PRICES: Final = (
    _price("0.13", "0.26", "0.5"),
    _price("0.059", "0.30", "2.0"),
    _price("0.05", "0.08333", "5.0"),
    _price("0.50", "6.25", "25.0"),
)
"""By tier."""
_RATES: Final = np.array([[float(each or 0) for each in (p.cache_read, p.cache_write, p.output)] for p in PRICES]) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRow:
    """One call of an agent's run, before it is made.

    gold: the cheapest tier that suffices, an index of TIERS. prompt_tokens: of the whole prefix; output_tokens: of the
    reply. follows: whether the prefix begins with that of the row before it in the same run. features: numbers about
    the tail of the prefix that a router may read, (feature,).
    """

    id: str
    workload: str
    instance: str
    step: int
    gold: int
    prompt_tokens: int
    output_tokens: int
    follows: bool = True
    features: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TierScores:
    """The four metrics, their mean `combined`, as shares, and the 95 % intervals over instances, by metric."""

    values: dict[str, float]
    intervals: dict[str, Interval]


def trajectories(rows: Sequence[TierRow]) -> list[list[int]]:
    """The places of each run's rows in the order of its steps."""
    runs: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        runs.setdefault((row.workload, row.instance), []).append(place)
    return [sorted(places, key=lambda place: rows[place].step) for places in runs.values()]


def run_cost(rows: Sequence[TierRow], tiers: Sequence[int]) -> float:
    """Dollars of one run's rows, in the order of its steps, each at its tier.

    The whole prompt is written to the cache at the first row, after a change of the tier, if the prefix does not
    follow, and if the row before is more than CACHE_STEPS steps ago. Otherwise the prompt of the row before is read.
    """
    total = 0.0
    for place, (row, tier) in enumerate(zip(rows, tiers, strict=True)):
        same_tier = place > 0 and tiers[place - 1] == tier
        cached = _cached(rows[place - 1], row) if same_tier else 0
        total += float(_RATES[tier] @ (cached, row.prompt_tokens - cached, row.output_tokens))
    return total


def _cached(before: TierRow, row: TierRow) -> int:
    """The tokens that a tier reads from its cache, if it wrote the row before."""
    is_kept = row.follows and row.step - before.step <= CACHE_STEPS
    return min(before.prompt_tokens, row.prompt_tokens) if is_kept else 0


def score_tiers(rows: Sequence[TierRow], tiers: Sequence[int], resamples: int, rng: np.random.Generator) -> TierScores:
    """The metrics of predicted tiers, and their intervals by resampling runs.

    pass: share of rows with a sufficient tier; exact: with just that; trajectory: share of rows whose whole run has
    sufficient tiers; cost: dollars saved of always-high, where a run that fails is paid beside one that is always high;
    combined: their mean.
    """
    runs = trajectories(rows)
    workloads = sorted({row.workload for row in rows})
    sums = np.array([_sums([rows[place] for place in run], [tiers[place] for place in run]) for run in runs])
    of_workload = np.array([[rows[run[0]].workload == each for each in workloads] for run in runs], dtype=np.float64)
    values = _metrics(np.ones((1, len(runs))), sums, of_workload)[0]
    drawn = np.concatenate([_metrics(block, sums, of_workload) for block in draws(len(runs), resamples, rng)])
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(drawn, (tail, 100 - tail), axis=0)
    return TierScores(
        values=dict(zip(METRICS, values.tolist(), strict=True)),
        intervals={name: Interval(low[i], high[i]) for i, name in enumerate(METRICS)},
    )


def by_workload(rows: Sequence[TierRow]) -> list[int]:
    """The trivial rule: coding workload → high, everything else → low."""
    return [HIGH if row.workload == CODING else LOW for row in rows]


def _sums(rows: Sequence[TierRow], tiers: Sequence[int]) -> tuple[float, ...]:
    """Of one run: rows, sufficient ones, exact ones, rows if all are sufficient, dollars saved, dollars always-high."""
    sufficient = [tier >= row.gold for row, tier in zip(rows, tiers, strict=True)]
    exact = sum(tier == row.gold for row, tier in zip(rows, tiers, strict=True))
    high, own, passes = run_cost(rows, [HIGH] * len(rows)), run_cost(rows, tiers), all(sufficient)
    return len(rows), sum(sufficient), exact, len(rows) * passes, (high - own) if passes else -own, high


def _metrics(drawn: F64, sums: F64, of_workload: F64) -> F64:
    """(resample, metric) of how often each run is drawn, (resample, run)."""
    count, sufficient, exact, passing = (drawn @ sums[:, :4]).T
    rows, saved, high = ((drawn * sums[:, column]) @ of_workload for column in (0, 4, 5))  # (resample, workload)
    share = np.divide(saved, high, out=np.zeros_like(saved), where=high > 0)
    cost = (rows / count[:, None] * share).sum(axis=1)
    four = np.stack([sufficient / count, exact / count, passing / count, cost], axis=1)
    return np.column_stack([four, four.mean(axis=1)])
