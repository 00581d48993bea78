"""Graded traces as arrays: correctness and cost of every route on the same problems."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import numpy as np

from steproute.core.errors import DatasetError
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.runner import Route
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.failures import failure_groups
from steproute.evaluation.proportions import grouped_proportion_interval, proportion_interval
from steproute.evaluation.resampling import Interval
from steproute.evaluation.summary import Axis, Point
from steproute.evaluation.sweep import Cell, Sweep
from steproute.evaluation.waste import Regenerations, regenerations

Cost = Axis | Literal["seconds"]


class JudgedRuns:
    """Graded traces by route, problem and seed, restricted to the problems with a verdict in every route at every seed.

    from_tree: whether routes share steps, which then take no time but that of the calls that once wrote them. alone:
    the virtual seconds of each trace, its problem alone on a simulated deployment; then these are its seconds. Raises
    DatasetError, which says why, if there is no such problem.
    """

    def __init__(
        self,
        sweep: Sweep,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        *,
        from_tree: bool = False,
        alone: Mapping[Cell, float] | None = None,
    ) -> None:
        self._from_tree, self._alone = from_tree, alone
        self._cells = {Cell.of(trace): trace for trace in traces if trace.verdict is not None}
        self._seeds = sweep.seeds
        self._problems = {writable(problem.id): problem for problem in problems}
        self._regenerations: dict[Cell, Regenerations] = {}
        cells = {problem.id: self._cells_of(sweep, problem) for problem in problems}
        self.judged = [problem_id for problem_id, needed in cells.items() if needed <= self._cells.keys()]
        if not self.judged:
            reasons = "".join(f"\n  {group}" for group in failure_groups(traces))
            raise DatasetError(f"no problem was judged in every route. Failed:{reasons or ' none.'}", where="eval")
        self.strong_tokens = float(self.outcomes([sweep.strong]).cost.mean())

    @property
    def in_virtual_time(self) -> bool:
        """Whether the seconds are those of a simulated deployment."""
        return self._alone is not None

    def outcomes(self, routes: Sequence[Route], axis: Cost = "tokens") -> Outcomes:
        """Correctness and cost (strong tokens, dollars or seconds), (route, problem): the means over the seeds."""
        rows = [self._row(route) for route in routes]
        shape = (len(rows), len(self.judged), len(self._seeds))
        correct = np.array([[trace.verdict is Verdict.CORRECT for trace in row] for row in rows], float)
        costs = np.array([[self._cost(trace, axis) for trace in row] for row in rows], float)
        counts = np.array([[self._regenerated(trace) for trace in row] for row in rows], float)
        return Outcomes(
            correct=correct.reshape(shape).mean(axis=2),
            cost=costs.reshape(shape).mean(axis=2),
            regenerations=counts.reshape(*shape, -1).mean(axis=2),
        )

    def anchor(self, route: Route, axis: Cost = "tokens") -> Outcomes:
        """Correctness and cost of one route, (problem,)."""
        one = self.outcomes([route], axis)
        return Outcomes(correct=one.correct[0], cost=one.cost[0])

    def point(self, route: Route, knob: float | None, interval: Interval | None = None) -> Point:
        """Means of one route, over the problems and their seeds."""
        traces = self._row(route)
        correct = [trace.verdict is Verdict.CORRECT for trace in traces]
        strong = _mean([trace.generated_tokens("strong") for trace in traces])
        again = Regenerations(*map(_mean, zip(*map(self._regenerated, traces), strict=True)))
        return Point(
            knob=knob,
            accuracy=_mean(correct),
            accuracy_ci95=(interval or self._interval(correct)).ends,
            strong_tokens=strong,
            strong_share=strong / self.strong_tokens if self.strong_tokens else math.nan,
            weak_tokens=_mean([trace.generated_tokens("weak") for trace in traces]),
            discarded_tokens=_mean([trace.discarded_tokens() for trace in traces]),
            prm_tokens=_mean([trace.scored_tokens() for trace in traces]),
            cost_usd=float(sum((trace.cost_usd for trace in traces), Decimal(0)) / len(traces)),
            calls=_mean([len(trace.account) for trace in traces]),
            latency_s=_mean([self._cost(trace, "seconds") for trace in traces]),
            outcomes=dict(Counter(trace.outcome.value for trace in traces)),
            wasted_regenerations=again.share_wasted,
            wasted_by_checker=again.share_wasted_by_checker,
        )

    def _regenerated(self, trace: Trace) -> Regenerations:
        """Counted once per trace, since the checker is asked."""
        cell = Cell.of(trace)
        if cell not in self._regenerations:
            self._regenerations[cell] = regenerations(self._problems[cell.problem_id], trace)
        return self._regenerations[cell]

    def _cost(self, trace: Trace, axis: Cost) -> float:
        match axis:
            case "tokens":
                return trace.generated_tokens("strong")
            case "usd":
                return float(trace.cost_usd)
            case "seconds":
                return self._seconds(trace)

    def _seconds(self, trace: Trace) -> float:
        if self._alone is not None:
            return self._alone[Cell.of(trace)]
        return trace.calls_latency_s if self._from_tree else trace.measured_latency_s

    def _row(self, route: Route) -> list[Trace]:
        """The route's traces of the judged problems, those of one problem side by side."""
        cells = (Cell(route.name, problem_id, seed) for problem_id in self.judged for seed in self._seeds)
        return [self._cells[cell] for cell in cells]

    def _interval(self, correct: Sequence[bool]) -> Interval:
        """Of the share of correct answers; several of one problem are not independent."""
        if len(self._seeds) == 1:
            return proportion_interval(sum(correct), len(correct))
        groups = np.repeat(np.arange(len(self.judged)), len(self._seeds))
        return grouped_proportion_interval(correct, groups, np.random.default_rng(self._seeds[0]))

    def _cells_of(self, sweep: Sweep, problem: Problem) -> set[Cell]:
        return {Cell(route.name, problem.id, seed) for route in sweep.routes for seed in self._seeds}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
