"""What a sweep found, in numbers with stable names: the content of `summary.json`."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.verdict import Verdict
from steproute.core.whole_file import write_whole
from steproute.engine.runner import Route
from steproute.evaluation.bootstrap import Outcomes, curve_intervals, curve_of, lead_intervals
from steproute.evaluation.contents import Contents, contents
from steproute.evaluation.failures import FailureGroup, failure_groups, fallback_groups, fallen_back
from steproute.evaluation.latency import called_seconds, measured_seconds
from steproute.evaluation.metrics import METRICS, Curve, UndefinedMetric, budgeted_accuracy, measure
from steproute.evaluation.operating_points import OperatingPoint, Spent, operating_points
from steproute.evaluation.proportions import grouped_proportion_interval, proportion_interval
from steproute.evaluation.published import PublishedCurve, published_curves
from steproute.evaluation.resampling import RESAMPLES, Interval
from steproute.evaluation.sweep import Cell, Series, Sweep

Axis = Literal["tokens", "usd"]
Interval95 = tuple[float | None, float | None]
Cost = Axis | Literal["seconds"]
AXES: Final[tuple[Axis, ...]] = ("tokens", "usd")
_COST_OF: Final[Mapping[Axis, Callable[[Trace], float]]] = {
    "tokens": lambda trace: trace.generated_tokens("strong"),
    "usd": lambda trace: float(trace.cost_usd),
}
_REASONS: Final = 5
_COSTS: Final = tuple(index / 10 for index in range(1, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One knob value; tokens, dollars and seconds are means over the judged problems.

    strong_tokens and weak_tokens are generated tokens, thrown-away ones included; discarded_tokens are those of either
    that no solution kept; prm_tokens are read by the scorers; calls are those of models and scorers; strong_share is
    strong_tokens over those of always-strong. latency_s: see `evaluation.latency`.
    """

    knob: float | None
    accuracy: float
    accuracy_ci95: Interval95
    strong_tokens: float
    strong_share: float
    weak_tokens: float
    discarded_tokens: float
    prm_tokens: float
    cost_usd: float
    calls: float
    latency_s: float
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """A policy's points and metrics; `metrics` holds each metric and its `_ci95`, None for "not reached".

    `metrics_usd` are the same by dollars, empty if always-strong costs no more of them than always-weak.
    """

    name: str
    points: list[Point]
    metrics: dict[str, float | None | Interval95]
    metrics_note: str = ""
    metrics_usd: dict[str, float | None | Interval95] = field(default_factory=dict)
    operating_points: list[OperatingPoint] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How much more accurate the policy is than a baseline at cost c (share of strong tokens), paired over problems."""

    baseline: str
    c: float
    accuracy: float
    baseline_accuracy: float
    lead_ci95: Interval95


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that `summary.json` says.

    `problems` were judged in every route at every seed; `failed` counts traces without a verdict, whose problems are
    left out everywhere, and `failures` says why. `fell_back` counts judged ones that were finished without a model or
    scorer that failed, and `fallbacks` says why. `undecided` counts answers that could not be graded, which count as
    not correct, and `undecided_reasons` says why. `grading_usd` was paid for an LLM judge, which no route's cost holds.
    `paid_usd` is what the backends were really paid, if steps were shared by a tree and it is not what was spent.
    `contents` says what the summary is made of.
    `published` holds curves of others to compare with, if the data have any.
    """

    name: str
    data: str
    policy: str
    seed: int
    problems: int
    failed: int
    undecided: int
    weak: Point
    strong: Point
    points: list[Point]
    metrics: dict[str, float | None | Interval95]
    metrics_note: str
    baselines: list[SeriesSummary]
    leads: list[Lead]
    spent_usd: float
    interrupted_usd: float
    grading_usd: float = 0.0
    undecided_reasons: dict[str, int] = field(default_factory=dict)
    paid_usd: float | None = None
    settings: dict[str, object] = field(default_factory=dict)
    published: list[PublishedCurve] = field(default_factory=list)
    operating_points: list[OperatingPoint] = field(default_factory=list)
    metrics_usd: dict[str, float | None | Interval95] = field(default_factory=dict)
    contents: Contents = Contents()
    failures: list[FailureGroup] = field(default_factory=list)
    fell_back: int = 0
    fallbacks: list[FailureGroup] = field(default_factory=list)

    @property
    def strategy(self) -> str:
        """The strategy of its policies that name none; empty if its settings do not say."""
        route = self.settings.get("route")
        return str(route.get("strategy", "")) if isinstance(route, Mapping) else ""


class JudgedRuns:
    """Graded traces by route, problem and seed, restricted to the problems with a verdict in every route at every seed.

    from_tree: whether routes share steps, which then take no time but that of the calls that once wrote them. Raises
    DatasetError, which says why, if there is no such problem.
    """

    def __init__(
        self, sweep: Sweep, problems: Sequence[Problem], traces: Sequence[Trace], *, from_tree: bool = False
    ) -> None:
        self._seconds = called_seconds if from_tree else measured_seconds
        self._cells = {Cell.of(trace): trace for trace in traces if trace.verdict is not None}
        self._seeds = sweep.seeds
        cells = {problem.id: self._cells_of(sweep, problem) for problem in problems}
        self.judged = [problem_id for problem_id, needed in cells.items() if needed <= self._cells.keys()]
        if not self.judged:
            reasons = "".join(f"\n  {group}" for group in failure_groups(traces))
            raise DatasetError(f"no problem was judged in every route. Failed:{reasons or ' none.'}", where="eval")
        self.strong_tokens = float(self.outcomes([sweep.strong]).cost.mean())

    def outcomes(self, routes: Sequence[Route], axis: Cost = "tokens") -> Outcomes:
        """Correctness and cost (strong tokens, dollars or seconds), (route, problem): the means over the seeds."""
        rows = [self._row(route) for route in routes]
        cost = self._seconds if axis == "seconds" else _COST_OF[axis]
        shape = (len(rows), len(self.judged), len(self._seeds))
        correct = np.array([[trace.verdict is Verdict.CORRECT for trace in row] for row in rows], float)
        costs = np.array([[cost(trace) for trace in row] for row in rows], float)
        return Outcomes(correct=correct.reshape(shape).mean(axis=2), cost=costs.reshape(shape).mean(axis=2))

    def anchor(self, route: Route, axis: Cost = "tokens") -> Outcomes:
        """Correctness and cost of one route, (problem,)."""
        one = self.outcomes([route], axis)
        return Outcomes(correct=one.correct[0], cost=one.cost[0])

    def point(self, route: Route, knob: float | None, interval: Interval | None = None) -> Point:
        """Means of one route, over the problems and their seeds."""
        traces = self._row(route)
        right = [trace.verdict is Verdict.CORRECT for trace in traces]
        strong = _mean([trace.generated_tokens("strong") for trace in traces])
        return Point(
            knob=knob,
            accuracy=_mean(right),
            accuracy_ci95=_ends(interval or self._interval(right)),
            strong_tokens=strong,
            strong_share=strong / self.strong_tokens if self.strong_tokens else math.nan,
            weak_tokens=_mean([trace.generated_tokens("weak") for trace in traces]),
            discarded_tokens=_mean([trace.discarded_tokens() for trace in traces]),
            prm_tokens=_mean([trace.scored_tokens() for trace in traces]),
            cost_usd=float(sum((trace.cost_usd for trace in traces), Decimal(0)) / len(traces)),
            calls=_mean([len(trace.account) for trace in traces]),
            latency_s=_mean([self._seconds(trace) for trace in traces]),
            outcomes=dict(Counter(trace.outcome.value for trace in traces)),
        )

    def _row(self, route: Route) -> list[Trace]:
        """The route's traces of the judged problems, those of one problem side by side."""
        cells = (Cell(route.name, problem_id, seed) for problem_id in self.judged for seed in self._seeds)
        return [self._cells[cell] for cell in cells]

    def _interval(self, right: Sequence[bool]) -> Interval:
        """Of the share of correct answers; several of one problem are not independent."""
        if len(self._seeds) == 1:
            return proportion_interval(sum(right), len(right))
        groups = np.repeat(np.arange(len(self.judged)), len(self._seeds))
        return grouped_proportion_interval(right, groups, np.random.default_rng(self._seeds[0]))

    def _cells_of(self, sweep: Sweep, problem: Problem) -> set[Cell]:
        return {Cell(route.name, problem.id, seed) for route in sweep.routes for seed in self._seeds}


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
) -> Summary:
    """Points, metrics and 95 % intervals of a sweep; `reasons` say why answers are undecided.

    Raises DatasetError if no problem was judged in every route.
    """
    table = JudgedRuns(sweep, problems, traces, from_tree=paid_usd is not None)
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
        settings=settings or {},
        published=published_curves(data),
        operating_points=policy.operating_points,
        metrics_usd=policy.metrics_usd,
        contents=contents(sweep, problems, traces, earlier),
        failures=failure_groups(traces),
        fell_back=len(fell_back),
        fallbacks=fallback_groups(fell_back),
    )


def write_summary(summary: Summary, path: Path) -> None:
    """Write `summary.json`, whole or not at all."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def metric_values(metrics: Mapping[str, float]) -> dict[str, float | None | Interval95]:
    """Metrics by name, "not reached" as None."""
    return {name: finite(value) for name, value in metrics.items()}


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
            lead_ci95=_ends(interval),
        )
        for c, interval in zip(_COSTS, intervals, strict=True)
        if not math.isnan(interval.low)
    ]


def _with_intervals(curve: Curve, intervals: dict[str, Interval]) -> dict[str, float | None | Interval95]:
    values = metric_values(measure(curve))
    return values | {f"{name}_ci95": pair(interval) for name, interval in intervals.items()}


def _ends(interval: Interval) -> Interval95:
    return finite(interval.low), finite(interval.high)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def pair(interval: Interval) -> Interval95 | None:
    """Both ends, None for infinite ones; None if there is no interval."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return None
    return finite(interval.low), finite(interval.high)


def finite(value: float) -> float | None:
    """None for what is not reached."""
    return value if math.isfinite(value) else None
