"""95 % intervals of curves, and resamples of several curves at once, by a bootstrap over problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.curves import CurveBatch
from steproute.evaluation.metrics import METRICS, Anchor, Curve, CurvePoint, UndefinedMetric
from steproute.evaluation.resampling import RESAMPLES, Interval, draws, percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Which problems were solved, and the cost of each: its strong generated tokens, or its dollars.

    A problem that was solved at several seeds has the share of them with a correct answer, and its mean cost. So it is
    one problem to every bootstrap, however many seeds there are: intervals cover the draw of the problems.

    Both arrays have shape (knob, problem) for a policy and (problem,) for an anchor, problems in the same order
    everywhere. A failed problem is not an incorrect answer: leave it out of all arrays. Raises ConfigError for shapes
    that differ, an empty axis, and costs that are negative or not finite.
    """

    correct: npt.NDArray[np.bool_] | F64
    cost: F64

    def __post_init__(self) -> None:
        shape, tokens = np.shape(self.correct), np.shape(self.cost)
        if shape != tokens or 0 in shape:
            raise ConfigError(
                f"correct is {shape} and cost {tokens}.", where="outcomes", remedy="Give one of each per problem."
            )
        if not (np.isfinite(self.cost).all() and np.min(self.cost) >= 0):
            raise ConfigError("negative or not finite.", where="outcomes.cost", remedy="Give counts, 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveIntervals:
    """The interval of every metric of METRICS, and of the accuracy at each knob.

    In `undefined` of the resamples strong was no better than weak, or cost no more; the metrics have no value there and
    their intervals leave these resamples out. More than a few of them mean that the gap itself is not established.
    """

    metrics: dict[str, Interval]
    accuracy: tuple[Interval, ...]
    undefined: int


def curve_of(knobs: Sequence[float], sweep: Outcomes, weak: Outcomes, strong: Outcomes) -> Curve:
    """The curve of the outcomes' means, one point for each knob in order.

    Raises ConfigError if the numbers of knobs or problems differ.
    """
    _check_paired(sweep, weak, strong)
    if len(knobs) != len(sweep.correct):
        raise ConfigError(
            f"{len(knobs)} for {len(sweep.correct)} rows of outcomes.", where="knobs", remedy="Give one for each row."
        )
    accuracy, tokens = sweep.correct.mean(axis=1), sweep.cost.mean(axis=1)
    return Curve(
        points=tuple(
            CurvePoint(knob=knob, accuracy=float(a), strong_tokens=float(t))
            for knob, a, t in zip(knobs, accuracy, tokens, strict=True)
        ),
        weak=Anchor(accuracy=float(weak.correct.mean()), strong_tokens=float(weak.cost.mean())),
        strong=Anchor(accuracy=float(strong.correct.mean()), strong_tokens=float(strong.cost.mean())),
    )


def curve_intervals(
    sweep: Outcomes, weak: Outcomes, strong: Outcomes, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> CurveIntervals:
    """95 % percentile intervals; every resample draws problems once, for all knobs and both anchors.

    sweep: (knob, problem); weak, strong: (problem,). Raises ConfigError if the numbers of problems differ,
    UndefinedMetric if no resample has a gap between weak and strong.
    """
    _check_paired(sweep, weak, strong)
    accuracy, strong_tokens, gap = _resampled([sweep], weak, strong, rng, resamples)
    curves = _curves(accuracy[gap], strong_tokens[gap], slice(2, None))
    return CurveIntervals(
        metrics={name: percentiles(metric.values(curves)) for name, metric in METRICS.items()},
        accuracy=tuple(percentiles(column) for column in accuracy[:, 2:].T),
        undefined=int((~gap).sum()),
    )


def lead_intervals(
    sweep: Outcomes,
    baseline: Outcomes,
    weak: Outcomes,
    strong: Outcomes,
    costs: Sequence[float],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> tuple[Interval, ...]:
    """Interval of how much more accurate `sweep` is than `baseline` at each cost c, both on the same resamples.

    sweep, baseline: (knob, problem), knobs of their own; weak, strong: (problem,). Raises as `curve_intervals` does.
    """
    _check_paired(sweep, weak, strong)
    _check_paired(baseline, weak, strong)
    accuracy, tokens, gap = _resampled([sweep, baseline], weak, strong, rng, resamples)
    middle = 2 + len(sweep.correct)
    first = _curves(accuracy[gap], tokens[gap], slice(2, middle))
    second = _curves(accuracy[gap], tokens[gap], slice(middle, None))
    return tuple(percentiles(first.accuracy_at(cost) - second.accuracy_at(cost)) for cost in costs)


def metric_samples(
    sweeps: Sequence[Outcomes],
    weak: Outcomes,
    strong: Outcomes,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> list[dict[str, F64]]:
    """Every metric of every sweep on the same resamples: the outcomes' own value first, then (resample,).

    sweeps: each (knob, problem); weak, strong: (problem,). Raises as `curve_intervals` does.
    """
    for sweep in sweeps:
        _check_paired(sweep, weak, strong)
    accuracy, cost, gap = _resampled(sweeps, weak, strong, rng, resamples)
    everyone = (weak, strong, *sweeps)
    accuracy = np.vstack([np.concatenate([np.atleast_2d(x.correct).mean(axis=1) for x in everyone]), accuracy[gap]])
    cost = np.vstack([np.concatenate([np.atleast_2d(x.cost).mean(axis=1) for x in everyone]), cost[gap]])
    samples, start = [], 2
    for sweep in sweeps:
        curves = _curves(accuracy, cost, slice(start, start + len(sweep.correct)))
        start += len(sweep.correct)
        samples.append({name: metric.values(curves) for name, metric in METRICS.items()})
    return samples


def _resampled(
    sweeps: Sequence[Outcomes], weak: Outcomes, strong: Outcomes, rng: np.random.Generator, resamples: int
) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
    """Mean accuracy and strong tokens, (resample, weak | strong | knobs of each sweep), and which have a gap."""
    problems = len(weak.correct)
    correct = [weak.correct, strong.correct, *(row for sweep in sweeps for row in sweep.correct)]
    tokens = [weak.cost, strong.cost, *(row for sweep in sweeps for row in sweep.cost)]
    outcomes = np.array([*correct, *tokens], np.float64).T
    means = np.concatenate([count @ outcomes / problems for count in draws(problems, resamples, rng)])
    accuracy, strong_tokens = np.hsplit(means, 2)
    gap = (accuracy[:, 1] > accuracy[:, 0]) & (strong_tokens[:, 1] > strong_tokens[:, 0])
    if not gap.any():
        raise UndefinedMetric(
            f"outcomes: strong is better and costs more than weak in none of {resamples} resamples, so there is no gap "
            "to recover. Choose a stronger model, or more problems."
        )
    return accuracy, strong_tokens, gap


def _curves(accuracy: F64, tokens: F64, knobs: slice) -> CurveBatch:
    return CurveBatch.of(
        strong_tokens=tokens[:, knobs],
        accuracy=accuracy[:, knobs],
        weak=(tokens[:, 0], accuracy[:, 0]),
        strong=(tokens[:, 1], accuracy[:, 1]),
    )


def _check_paired(sweep: Outcomes, weak: Outcomes, strong: Outcomes) -> None:
    shapes = [np.shape(x.correct) for x in (sweep, weak, strong)]
    if [len(shape) for shape in shapes] != [2, 1, 1] or len({shape[-1] for shape in shapes}) != 1:
        raise ConfigError(
            f"shapes {shapes} of sweep, weak and strong do not fit.",
            where="outcomes",
            remedy="Give (knob, problem), (problem,), (problem,) with the same problems in the same order.",
        )
