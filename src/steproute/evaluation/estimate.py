"""What a run is going to take, before anything is spent: from traces if there are some, else from a prior."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.evaluation.route_bounds import Shape, route_bounds

_RESAMPLES: Final = 2000
_LEVEL: Final = (2.5, 50.0, 97.5)
_FEW: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What is expected, between the ends of an interval."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Calls, tokens, dollars and minutes of the solutions that are missing.

    tokens: generated, by role of the models, and read by each scorer. sampled: routes estimated from traces;
    bounded: those estimated from the bounds of a route.
    """

    missing: int
    sampled: int
    bounded: int
    calls: Amount
    tokens: Mapping[str, Amount]
    usd: Amount
    minutes: Amount


class Fields:
    """The numbers of one solution as a vector: calls, dollars, seconds, and tokens of each role and scorer."""

    def __init__(self, roles: Roles) -> None:
        self.models, self.scorers = sorted(roles.models), sorted(roles.scorers)
        self.size = 3 + len(self.models) + len(self.scorers)

    def vector(
        self, calls: float, usd: float, seconds: float, written: Mapping[str, float], read: Mapping[str, float]
    ) -> F64:
        """One solution."""
        tokens = [written.get(role, 0.0) for role in self.models] + [read.get(role, 0.0) for role in self.scorers]
        return np.array([calls, usd, seconds, *tokens])

    def of_trace(self, trace: Trace) -> F64:
        """What a solution took."""
        written = {role: float(trace.generated_tokens(role)) for role in self.models}
        read = dict.fromkeys(self.scorers, 0.0)
        for line in trace.account:
            if line.purpose is Purpose.SCORE and line.role in read:
                read[line.role] += line.usage.read_tokens
        return self.vector(len(trace.account), float(trace.cost_usd), trace.measured_latency_s, written, read)


def estimate(
    missing: Sequence[tuple[Route, int]],
    traces: Iterable[Trace],
    roles: Roles,
    prior: Shape,
    in_flight: int,
    rng: np.random.Generator,
) -> Estimate:
    """The estimate for `missing` solutions of each route.

    traces: of the same models; cancelled ones are no solutions and do not count. A route that they show is estimated
    from them by a bootstrap over its problems, which also repeats the draw of those that are missing. Every other route
    is bounded by what its models and scorers can do, with the steps and tokens that the traces show, or with those of
    `prior` if there are none. Intervals of both kinds are added up end by end, which is wider than need be. Minutes are
    measured latencies over problems in flight.
    """
    fields, usable = Fields(roles), [trace for trace in traces if trace.outcome is not Outcome.CANCELLED]
    samples = _samples(fields, usable)
    known = {route.name: count for route, count in missing if len(samples.get(route.name, ())) >= _FEW}
    shape = prior.seen_in(usable)
    total = _resampled(known, samples, fields.size, rng)
    for route, count in missing:
        if route.name not in known:
            total += count * np.array(route_bounds(route, roles, shape, fields.vector))
    return _estimate(total, fields, missing, len(known), in_flight)


def _samples(fields: Fields, traces: Sequence[Trace]) -> dict[str, dict[str, F64]]:
    samples: dict[str, dict[str, F64]] = {}
    for trace in traces:
        if not trace.failed:
            samples.setdefault(trace.route, {})[trace.problem_id] = fields.of_trace(trace)
    return samples


def _resampled(
    known: Mapping[str, int], samples: Mapping[str, Mapping[str, F64]], size: int, rng: np.random.Generator
) -> F64:
    """(low | expected | high, field) of the sum over routes; a resample draws problems once for all of them."""
    total = np.zeros((_RESAMPLES, size))
    ids = sorted({problem for route in known for problem in samples[route]})
    if not ids or not any(known.values()):
        return np.zeros((3, size))
    counts = rng.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=_RESAMPLES)
    repeats = rng.multinomial(max(known.values()), counts / len(ids))
    for route, count in known.items():
        present = [index for index, problem in enumerate(ids) if problem in samples[route]]
        rows = np.array([samples[route][ids[index]] for index in present])
        weights = repeats[:, present].astype(np.float64)
        weights[weights.sum(axis=1) == 0] = 1.0
        total += count * (weights @ rows) / weights.sum(axis=1, keepdims=True)
    return np.percentile(total, _LEVEL, axis=0)


def _estimate(
    total: F64, fields: Fields, missing: Sequence[tuple[Route, int]], sampled: int, in_flight: int
) -> Estimate:
    solutions = sum(count for _, count in missing)
    at_once = max(1, min(in_flight, solutions))
    calls, usd, seconds, *tokens = (Amount(low=low, expected=mid, high=high) for low, mid, high in total.T.tolist())
    return Estimate(
        missing=solutions,
        sampled=sampled,
        bounded=len(missing) - sampled,
        calls=calls,
        tokens=dict(zip([*fields.models, *(f"{name} reads" for name in fields.scorers)], tokens, strict=True)),
        usd=usd,
        minutes=Amount(
            low=seconds.low / 60 / at_once, expected=seconds.expected / 60 / at_once, high=seconds.high / 60 / at_once
        ),
    )


def scaled(amount: Amount, low: Decimal | float, high: Decimal | float) -> Amount:
    """The amount times a factor between `low` and `high`, its middle for what is expected."""
    return Amount(
        low=amount.low * float(low),
        expected=amount.expected * (float(low) + float(high)) / 2,
        high=amount.high * float(high),
    )
