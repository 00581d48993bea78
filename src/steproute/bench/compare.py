"""Many policies side by side, on strong tokens and on dollars, and by how much one beats another, paired."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from steproute.bench.bootstrap import METRICS, Difference, difference, metric_samples, percentile_interval
from steproute.bench.curves import F64
from steproute.bench.summary import AXES, Axis, Interval95, JudgedRuns, finite, pair
from steproute.bench.sweep import Sweep

COMPARED: Final = ("cpt95", "apgr", "delta_ibc", "accuracy_at_20")
_CALLS_AT: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy: its metrics by cost axis, each with its `_ci95` (None: not reached).

    calls: mean model and scorer calls a problem at the knob whose share of strong tokens is nearest to 30 %, which is
    the latency in steps of a loop that waits for each of them.
    """

    name: str
    metrics: dict[Axis, dict[str, float | None | Interval95]]
    calls: float
    calls_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """first − second of one metric on one cost axis; p is two-sided, from the paired bootstrap."""

    first: str
    second: str
    axis: Axis
    metric: str
    difference: float | None
    difference_ci95: Interval95
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The content of `comparison.json`: a row a policy, and every pair of them."""

    name: str
    data: str
    seed: int
    problems: int
    rows: list[Row]
    pairs: list[Pair]

    def pair(self, first: str, second: str, metric: str, axis: Axis = "tokens") -> Pair:
        """One pair, whichever way round it was stored; raises KeyError for an unknown one."""
        for each in self.pairs:
            if (each.axis, each.metric) != (axis, metric):
                continue
            if (each.first, each.second) == (first, second):
                return each
            if (each.first, each.second) == (second, first):
                low, high = each.difference_ci95
                return Pair(
                    first=first,
                    second=second,
                    axis=axis,
                    metric=metric,
                    difference=_negative(each.difference),
                    difference_ci95=(_negative(high), _negative(low)),
                    p=each.p,
                )
        raise KeyError((first, second, metric, axis))


def compare(name: str, data: str, sweep: Sweep, runs: JudgedRuns, seed: int) -> Comparison:
    """Metrics of every series of a sweep and differences of every two; raises UndefinedMetric without a gap."""
    series = (sweep.policy, *sweep.baselines)
    metrics: list[dict[Axis, dict[str, float | None | Interval95]]] = [{} for _ in series]
    pairs: list[Pair] = []
    for axis in AXES:
        samples = metric_samples(
            [runs.outcomes(each.routes, axis) for each in series],
            runs.anchor(sweep.weak, axis),
            runs.anchor(sweep.strong, axis),
            np.random.default_rng(seed),
        )
        for row, sample in zip(metrics, samples, strict=True):
            row[axis] = _with_intervals(sample)
        named = [(each.name, sample) for each, sample in zip(series, samples, strict=True)]
        for (first, one), (second, other) in combinations(named, 2):
            pairs += [_pair(first, second, axis, metric, difference(one[metric], other[metric])) for metric in COMPARED]
    rows = []
    for each, values in zip(series, metrics, strict=True):
        points = [runs.point(route, knob) for route, knob in zip(each.routes, each.knobs, strict=True)]
        nearest = min(points, key=lambda point: abs(point.strong_share - _CALLS_AT))
        rows.append(Row(name=each.name, metrics=values, calls=nearest.calls, calls_at=nearest.strong_share))
    return Comparison(name=name, data=data, seed=seed, problems=len(runs.judged), rows=rows, pairs=pairs)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`, whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n")
    draft.replace(path)


def _with_intervals(sample: dict[str, F64]) -> dict[str, float | None | Interval95]:
    values: dict[str, float | None | Interval95] = {name: finite(float(sample[name][0])) for name in METRICS}
    return values | {f"{name}_ci95": pair(percentile_interval(sample[name])) for name in METRICS}


def _pair(first: str, second: str, axis: Axis, metric: str, found: Difference) -> Pair:
    return Pair(
        first=first,
        second=second,
        axis=axis,
        metric=metric,
        difference=finite(found.value),
        difference_ci95=pair(found.interval),
        p=found.p,
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
