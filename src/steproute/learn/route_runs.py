"""What routes did in finished runs, by route, as their predictors are fitted to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from steproute.core.errors import DatasetError
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.learn.route_fit import RouteOutcomes
from steproute.policies.routes import COSTS, CostAxis

_UNPAID: Final = "usd"


@dataclass(slots=True)
class RouteRuns:
    """The graded traces of several runs, of which a later one replaces an earlier one of the same route and seed.

    left_out: traces without a verdict, or of problems that are not known.
    """

    texts: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    _runs: dict[str, dict[int, dict[int, Sequence[float]]]] = field(default_factory=dict)

    def add(self, traces: Iterable[Trace], texts: Mapping[str, str]) -> None:
        """Add a run's traces; texts: of its problems, by the id that its traces carry."""
        for trace in traces:
            text = texts.get(trace.problem_id)
            if text is None or trace.unsettled or trace.verdict not in (Verdict.CORRECT, Verdict.INCORRECT):
                self.left_out += 1
                continue
            problem = self.texts.setdefault(text, len(self.texts))
            self._runs.setdefault(trace.route, {}).setdefault(problem, {})[trace.seed] = _figures(trace)

    def outcomes(self) -> list[RouteOutcomes]:
        """Of each route, in the order of their names. Raises DatasetError for a route with too few problems."""
        if not self._runs:
            raise DatasetError(
                "holds no graded solution.", where="runs", remedy="Run `eval` on problems with gold answers."
            )
        return [_outcomes(route, runs) for route, runs in sorted(self._runs.items())]


def axis_of(outcomes: Iterable[RouteOutcomes]) -> CostAxis:
    """Dollars, or tokens if no route cost any."""
    return "usd" if any(each.costs[:, COSTS.index(_UNPAID)].any() for each in outcomes) else "tokens"


def unit_of(outcomes: Iterable[RouteOutcomes], axis: CostAxis) -> float:
    """The mean cost per problem of the most expensive route."""
    return max(float(each.costs[:, COSTS.index(axis)].mean()) for each in outcomes) or 1.0


def _figures(trace: Trace) -> Sequence[float]:
    """Whether it is correct, then each of COSTS. The seconds are those of its calls, one after the other."""
    tokens = sum(line.usage.output_tokens for line in trace.account if line.purpose is not Purpose.SCORE)
    return float(trace.verdict is Verdict.CORRECT), float(trace.cost_usd), float(tokens), trace.calls_latency_s


def _outcomes(route: str, runs: Mapping[int, Mapping[int, Sequence[float]]]) -> RouteOutcomes:
    """runs: the figures of each problem by seed."""
    means = np.array([np.mean(list(each.values()), axis=0) for each in runs.values()])
    return RouteOutcomes(
        route=route,
        problems=np.array(list(runs), np.intp),
        right=means[:, 0],
        runs=np.array([len(each) for each in runs.values()], float),
        costs=means[:, 1:],
    )
