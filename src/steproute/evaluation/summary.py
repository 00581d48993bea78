"""The content of `summary.json`: a sweep in numbers with stable names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from steproute.evaluation.contents import Contents
from steproute.evaluation.failures import FailureGroup
from steproute.evaluation.operating_points import OperatingPoint
from steproute.evaluation.published import PublishedCurve
from steproute.evaluation.resampling import Interval95, finite

Axis = Literal["tokens", "usd"]
AXES: Final[tuple[Axis, ...]] = ("tokens", "usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One knob value; tokens, dollars and seconds are means over the judged problems.

    strong_tokens and weak_tokens are generated tokens, discarded ones included; discarded_tokens are those of either
    that no solution kept; prm_tokens are read by the scorers; calls are those of models and scorers; strong_share is
    strong_tokens over those of always-strong. latency_s: see `Trace.measured_latency_s`; over a shared step tree it is
    `Trace.calls_latency_s`, or virtual seconds (`Summary.virtual_time`). wasted_regenerations: share of the regenerated
    steps, among those with a score before and after, that scored no higher; wasted_by_checker: share that mended no
    error, by an embedded world's checker. Both are None if no such step is known.
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
    wasted_regenerations: float | None = None
    wasted_by_checker: float | None = None


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
    `virtual_time`: whether seconds are those of each problem alone on a simulated deployment. `contents` says what the
    summary is made of.
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
    virtual_time: bool = False
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


def metric_values(metrics: Mapping[str, float]) -> dict[str, float | None | Interval95]:
    """Metrics by name, "not reached" as None."""
    return {name: finite(value) for name, value in metrics.items()}
