"""Many policies side by side, on strong tokens, dollars and seconds, and by how much one beats another, paired."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.evaluation.bootstrap import curve_of, metric_samples
from steproute.evaluation.differences import Difference, difference, holm, least_p, metric_interval
from steproute.evaluation.judged_runs import Cost, JudgedRuns
from steproute.evaluation.metrics import METRICS, UndefinedMetric, measure
from steproute.evaluation.resampling import Interval95, finite
from steproute.evaluation.summary import AXES, Point
from steproute.evaluation.sweep import Series, Sweep

WASTED: Final = ("wasted_regenerations", "wasted_by_checker")
COMPARED: Final = ("cpt95", "apgr", "delta_ibc", "accuracy_at_20")
RESAMPLES: Final = 10_000
_CALLS_AT: Final = 0.3
_SECONDS_AT: Final = 0.9
_ByAxis = dict[Cost, dict[str, float | None | Interval95]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy: its metrics by cost axis, each with its `_ci95` (None: not reached); none if there is no gap.

    calls: mean model and scorer calls per problem at the knob whose share of strong tokens is nearest to 30 %, which is
    the latency in steps of a loop that waits for each of them. seconds: median virtual seconds per problem at the knob
    `seconds_at`, the cheapest of those that recover 90 % of the gap; None if none does, or if time is not virtual.
    """

    name: str
    metrics: _ByAxis
    calls: float
    calls_at: float
    seconds: float | None = None
    seconds_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """first − second of one metric on one cost axis, paired over problems.

    difference: None if it has no value, or an infinite one: only one of the two reaches a CPT's share. difference_ci95:
    None if it has no value; an end of None is infinite. better: the better policy, None if neither is or the
    difference has no value. p: two-sided, for this one difference. p_holm: corrected for all metrics and policies that
    are compared with the first policy on this axis; None for other pairs, and for waste, which only explains. Both are
    None if there is no value.
    """

    first: str
    second: str
    axis: Cost
    metric: str
    difference: float | None
    difference_ci95: Interval95 | None
    better: str | None
    p: float | None
    p_holm: float | None = None

    def reversed(self) -> "Pair":
        """second − first."""
        ends = self.difference_ci95
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=_negative(self.difference),
            difference_ci95=None if ends is None else (_negative(ends[1]), _negative(ends[0])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The content of `comparison.json`: a row per policy, and every pair of them.

    note: why there are no metrics and no pairs, if strong is no better than weak; else empty.

    p-values and intervals cover the draw of the problems alone, not that of the models' samples or of training. No
    p-value can be below `least_p`, which more `resamples` lower.
    """

    name: str
    data: str
    seed: int
    problems: int
    resamples: int
    least_p: float
    rows: list[Row]
    pairs: list[Pair]
    note: str = ""

    def pair(self, first: str, second: str, metric: str, axis: Cost = "tokens") -> Pair:
        """One pair, whichever way round it was stored; raises KeyError for an unknown one."""
        for each in self.pairs:
            if (each.axis, each.metric) != (axis, metric):
                continue
            if (each.first, each.second) == (first, second):
                return each
            if (each.first, each.second) == (second, first):
                return each.reversed()
        raise KeyError((first, second, metric, axis))


def compare(
    name: str, data: str, sweep: Sweep, runs: JudgedRuns, seed: int, *, resamples: int = RESAMPLES
) -> Comparison:
    """Metrics of every series of a sweep and differences of every two, on each kind of cost that strong takes more of.

    Seconds count only in virtual time: those that were measured are of calls that routes share. Without a gap between
    weak and strong there are neither metrics nor differences, and `note` says why.
    """
    series, note = (sweep.policy, *sweep.baselines), ""
    try:
        metrics, pairs = _measured(series, sweep, runs, seed, resamples)
    except UndefinedMetric as reason:
        metrics, pairs, note = [{} for _ in series], [], str(reason)
    return Comparison(
        name=name,
        data=data,
        seed=seed,
        problems=len(runs.judged),
        resamples=resamples,
        least_p=least_p(resamples),
        rows=[_row(runs, sweep, each, values) for each, values in zip(series, metrics, strict=True)],
        pairs=pairs,
        note=note,
    )


def _measured(
    series: Sequence[Series], sweep: Sweep, runs: JudgedRuns, seed: int, resamples: int
) -> tuple[list[_ByAxis], list[Pair]]:
    """The metrics of each series and every pair; raises UndefinedMetric without a gap."""
    metrics: list[_ByAxis] = [{} for _ in series]
    pairs: list[Pair] = []
    costs: tuple[Cost, ...] = (*AXES, "seconds") if runs.in_virtual_time else AXES
    for axis in (axis for axis in costs if axis == "tokens" or _costs_more(runs, sweep, axis)):
        swept = [runs.outcomes(each.routes, axis) for each in series]
        anchors = runs.anchor(sweep.weak, axis), runs.anchor(sweep.strong, axis)
        measure(curve_of(series[0].knobs, swept[0], *anchors))  # raises without a gap, before any resample is drawn
        samples = metric_samples(swept, *anchors, np.random.default_rng(seed), resamples=resamples)
        for row, sample in zip(metrics, samples, strict=True):
            row[axis] = _with_intervals(sample)
        pairs += _pairs([each.name for each in series], samples, axis)
    return metrics, pairs


def _costs_more(runs: JudgedRuns, sweep: Sweep, axis: Cost) -> bool:
    weak, strong = (runs.anchor(route, axis).cost.mean() for route in (sweep.weak, sweep.strong))
    return bool(strong > weak)


def _row(runs: JudgedRuns, sweep: Sweep, series: Series, metrics: _ByAxis) -> Row:
    points = [runs.point(route, knob) for route, knob in zip(series.routes, series.knobs, strict=True)]
    nearest = min(points, key=lambda point: abs(point.strong_share - _CALLS_AT))
    cheapest = _cheapest(runs, sweep, points) if metrics and runs.in_virtual_time else None
    route = None if cheapest is None else series.routes[points.index(cheapest)]
    return Row(
        name=series.name,
        metrics=metrics,
        calls=nearest.calls,
        calls_at=nearest.strong_share,
        seconds=None if route is None else float(np.median(runs.anchor(route, "seconds").cost)),
        seconds_at=None if cheapest is None else cheapest.knob,
    )


def _cheapest(runs: JudgedRuns, sweep: Sweep, points: Sequence[Point]) -> Point | None:
    """The cheapest knob, by dollars and then strong tokens, that recovers `_SECONDS_AT` of the gap."""
    weak, strong = (runs.anchor(route).correct.mean() for route in (sweep.weak, sweep.strong))
    level = weak + _SECONDS_AT * (strong - weak) - 1e-9
    reaching = [point for point in points if point.accuracy >= level]
    return min(reaching, key=lambda point: (point.cost_usd, point.strong_tokens), default=None)


def _with_intervals(sample: dict[str, F64]) -> dict[str, float | None | Interval95]:
    values: dict[str, float | None | Interval95] = {name: finite(sample[name][0]) for name in METRICS}
    return values | {f"{name}_ci95": metric_interval(sample[name]).ends_if_defined for name in METRICS}


def _pairs(names: Sequence[str], samples: Sequence[dict[str, F64]], axis: Cost) -> list[Pair]:
    """Every two series in every metric; those with the first series are the family that is corrected together."""
    named = list(zip(names, samples, strict=True))
    pairs = [
        _pair(first, second, axis, metric, difference(one[metric], other[metric]))
        for (first, one), (second, other) in combinations(named, 2)
        for metric in COMPARED
    ]
    family = [each for each in pairs if each.first == names[0]]
    others = [each for each in pairs if each.first != names[0]]
    corrected = holm([each.p for each in family])
    waste = [
        _pair(first, second, axis, metric, difference(one[metric], other[metric]))
        for (first, one), (second, other) in combinations(named, 2)
        for metric in WASTED
    ]
    return [replace(each, p_holm=p) for each, p in zip(family, corrected, strict=True)] + others + waste


def _pair(first: str, second: str, axis: Cost, metric: str, result: Difference) -> Pair:
    gain = -result.value if METRICS[metric].lower_is_better else result.value
    return Pair(
        first=first,
        second=second,
        axis=axis,
        metric=metric,
        difference=finite(result.value),
        difference_ci95=result.interval.ends_if_defined,
        better=first if gain > 0 else second if gain < 0 else None,
        p=result.p,
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
