"""A sweep's graded traces as a `Summary`: points, metrics, intervals, leads and operating points."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import Final

import numpy as np

from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.evaluation.bootstrap import curve_intervals, curve_of, lead_intervals
from steproute.evaluation.contents import contents
from steproute.evaluation.failures import failure_groups, fallback_groups, fallen_back
from steproute.evaluation.judged_runs import Cost, JudgedRuns
from steproute.evaluation.metrics import METRICS, Curve, UndefinedMetric, budgeted_accuracy, measure
from steproute.evaluation.operating_points import Spent, operating_points
from steproute.evaluation.published import published_curves
from steproute.evaluation.resampling import RESAMPLES, Interval, Interval95
from steproute.evaluation.summary import AXES, Lead, SeriesSummary, Summary, metric_values
from steproute.evaluation.sweep import Cell, Series, Sweep

_REASONS: Final = 5
_COSTS: Final = tuple(index / 10 for index in range(1, 10))


def summarise(
    name: str,
    data: str,
    sweep: Sweep,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    *,
    seed: int,
    earlier: Set[Cell] = frozenset(),
    interrupted_usd: Decimal = Decimal(0),
    grading_usd: Decimal = Decimal(0),
    paid_usd: Decimal | None = None,
    reasons: Iterable[str] = (),
    settings: dict[str, object] | None = None,
    alone: Mapping[Cell, float] | None = None,
) -> Summary:
    """Points, metrics and 95 % intervals of a sweep; `reasons` say why answers are undecided, `alone`: see JudgedRuns.

    Raises DatasetError if no problem was judged in every route.
    """
    table = JudgedRuns(sweep, problems, traces, from_tree=paid_usd is not None, alone=alone)
    fell_back = fallen_back(traces)
    policy = _series_summary(table, sweep, sweep.policy, seed)
    return Summary(
        name=name,
        data=data,
        policy=sweep.policy.name,
        seed=seed,
        problems=len(table.judged),
        failed=sum(trace.verdict is None for trace in traces),
        undecided=sum(trace.verdict is Verdict.UNDECIDED for trace in traces),
        weak=table.point(sweep.weak, None),
        strong=table.point(sweep.strong, None),
        points=policy.points,
        metrics=policy.metrics,
        metrics_note=policy.metrics_note,
        baselines=[_series_summary(table, sweep, series, seed) for series in sweep.baselines],
        leads=[lead for series in sweep.baselines for lead in _leads(table, sweep, series, seed)],
        spent_usd=float(sum((trace.cost_usd for trace in traces), Decimal(0))),
        interrupted_usd=float(interrupted_usd),
        grading_usd=float(grading_usd),
        undecided_reasons=dict(Counter(reasons).most_common(_REASONS)),
        paid_usd=None if paid_usd is None else float(paid_usd),
        virtual_time=table.in_virtual_time,
        settings=settings or {},
        published=published_curves(data),
        operating_points=policy.operating_points,
        metrics_usd=policy.metrics_usd,
        contents=contents(sweep, problems, traces, earlier),
        failures=failure_groups(traces),
        fell_back=len(fell_back),
        fallbacks=fallback_groups(fell_back),
    )


def _series_summary(table: JudgedRuns, sweep: Sweep, series: Series, seed: int) -> SeriesSummary:
    weak, strong, swept = table.anchor(sweep.weak), table.anchor(sweep.strong), table.outcomes(series.routes)
    pairs = list(zip(series.routes, series.knobs, strict=True))
    try:
        intervals = curve_intervals(swept, weak, strong, np.random.default_rng(seed))
        curve = curve_of(series.knobs, swept, weak, strong)
        metrics = _with_intervals(curve, intervals.metrics)
    except UndefinedMetric as reason:
        points = [table.point(route, knob) for route, knob in pairs]
        return SeriesSummary(name=series.name, points=points, metrics=dict.fromkeys(METRICS), metrics_note=str(reason))
    points = [
        table.point(route, knob, interval) for (route, knob), interval in zip(pairs, intervals.accuracy, strict=True)
    ]
    undefined = f"{intervals.undefined} of {RESAMPLES} resamples had no gap" if intervals.undefined else ""
    costs: tuple[Cost, ...] = (*AXES, "seconds")
    tokens, usd, seconds = (_spent(table, sweep, series, axis) for axis in costs)
    return SeriesSummary(
        name=series.name,
        points=points,
        metrics=metrics,
        metrics_note=undefined,
        metrics_usd=_metrics_by(usd, series, seed),
        operating_points=operating_points(tokens, usd, seconds, np.random.default_rng(seed)),
    )


def _metrics_by(spent: Spent, series: Series, seed: int) -> dict[str, float | None | Interval95]:
    try:
        intervals = curve_intervals(spent.sweep, spent.weak, spent.strong, np.random.default_rng(seed))
        return _with_intervals(curve_of(series.knobs, spent.sweep, spent.weak, spent.strong), intervals.metrics)
    except UndefinedMetric:
        return {}


def _spent(table: JudgedRuns, sweep: Sweep, series: Series, axis: Cost) -> Spent:
    return Spent(
        sweep=table.outcomes(series.routes, axis),
        weak=table.anchor(sweep.weak, axis),
        strong=table.anchor(sweep.strong, axis),
    )


def _leads(table: JudgedRuns, sweep: Sweep, series: Series, seed: int) -> list[Lead]:
    weak, strong = table.anchor(sweep.weak), table.anchor(sweep.strong)
    policy, baseline = table.outcomes(sweep.policy.routes), table.outcomes(series.routes)
    try:
        intervals = lead_intervals(policy, baseline, weak, strong, _COSTS, np.random.default_rng(seed))
    except UndefinedMetric:
        return []
    first = curve_of(sweep.policy.knobs, policy, weak, strong)
    second = curve_of(series.knobs, baseline, weak, strong)
    return [
        Lead(
            baseline=series.name,
            c=c,
            accuracy=budgeted_accuracy(first, c),
            baseline_accuracy=budgeted_accuracy(second, c),
            lead_ci95=interval.ends,
        )
        for c, interval in zip(_COSTS, intervals, strict=True)
        if not math.isnan(interval.low)
    ]


def _with_intervals(curve: Curve, intervals: dict[str, Interval]) -> dict[str, float | None | Interval95]:
    values = metric_values(measure(curve))
    return values | {f"{name}_ci95": interval.ends_if_defined for name, interval in intervals.items()}
