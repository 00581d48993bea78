"""95 % intervals of curves, and resamples of several curves at once, by a bootstrap over problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.curves import CurveBatch
from steproute.evaluation.metrics import METRICS, Anchor, Curve, CurvePoint, UndefinedMetric
from steproute.evaluation.resampling import RESAMPLES, Interval, draws, percentiles
from steproute.evaluation.waste import Regenerations

_COUNTS: Final = len(Regenerations._fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Which problems were solved, and the cost of each: its strong generated tokens, or its dollars.

    A problem that was solved at several seeds has the share of them with a correct answer, and its mean cost. So it is
    one problem to every bootstrap, however many seeds there are: intervals cover the draw of the problems.

    regenerations: (knob, problem, 4), the counts of `Regenerations`; None if they are not known.

    The other arrays have shape (knob, problem) for a policy and (problem,) for an anchor, problems in the same order
    everywhere. A failed problem is not an incorrect answer: leave it out of all arrays. Raises ConfigError for shapes
    that differ, an empty axis, and costs that are negative or not finite.
    """

    correct: npt.NDArray[np.bool_] | F64
    cost: F64
    regenerations: F64 | None = None

    def __post_init__(self) -> None:
        shape, tokens = np.shape(self.correct), np.shape(self.cost)
        if shape != tokens or 0 in shape:
            raise ConfigError(
                f"correct is {shape} and cost {tokens}.", where="outcomes", remedy="Give one of each per problem."
            )
        if not (np.isfinite(self.cost).all() and np.min(self.cost) >= 0):
            raise ConfigError("negative or not finite.", where="outcomes.cost", remedy="Give counts, 0 or more.")
        if self.regenerations is not None and self.regenerations.shape != (*shape, _COUNTS):
            raise ConfigError(
                f"shape {self.regenerations.shape} for outcomes of {shape}.",
                where="outcomes.regenerations",
                remedy=f"Give {_COUNTS} counts per knob and problem.",
            )

    @property
    def counts(self) -> F64:
        """The regenerations, zeros if they are not known, (knob, problem, 4)."""
        shape = (*np.atleast_2d(self.cost).shape, _COUNTS)
        return np.zeros(shape) if self.regenerations is None else self.regenerations.reshape(shape)


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
            CurvePoint(knob=knob, accuracy=float(a), strong_tokens=float(t), regenerations=Regenerations(*counts))
            for knob, a, t, counts in zip(knobs, accuracy, tokens, sweep.counts.mean(axis=1).tolist(), strict=True)
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
    means, gap = _resampled([sweep], weak, strong, rng, resamples)
    accuracy, curves = means[0], _curves(means[:, gap], slice(2, None))
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
    means, gap = _resampled([sweep, baseline], weak, strong, rng, resamples)
    middle = 2 + len(sweep.correct)
    first = _curves(means[:, gap], slice(2, middle))
    second = _curves(means[:, gap], slice(middle, None))
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
    resampled, gap = _resampled(sweeps, weak, strong, rng, resamples)
    own = _columns(weak, strong, *sweeps).mean(axis=0)[:, None]
    means = np.concatenate([own, resampled[:, gap]], axis=1)
    samples, start = [], 2
    for sweep in sweeps:
        curves = _curves(means, slice(start, start + len(sweep.correct)))
        start += len(sweep.correct)
        samples.append({name: metric.values(curves) for name, metric in METRICS.items()})
    return samples


def _resampled(
    sweeps: Sequence[Outcomes], weak: Outcomes, strong: Outcomes, rng: np.random.Generator, resamples: int
) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Means of every resample, (kind, resample, weak | strong | knobs of each sweep), and which have a gap.

    The kinds are accuracy, cost and the counts of `Regenerations`.
    """
    problems, outcomes = len(weak.correct), _columns(weak, strong, *sweeps)
    flat = outcomes.reshape(problems, -1)
    drawn = np.concatenate([count @ flat / problems for count in draws(problems, resamples, rng)])
    means = np.moveaxis(drawn.reshape(len(drawn), *outcomes.shape[1:]), 1, 0)
    accuracy, cost = means[0], means[1]
    gap = (accuracy[:, 1] > accuracy[:, 0]) & (cost[:, 1] > cost[:, 0])
    if not gap.any():
        raise UndefinedMetric(
            f"outcomes: strong is better and costs more than weak in none of {resamples} resamples, so there is no gap "
            "to recover. Choose a stronger model, or more problems."
        )
    return means, gap


def _columns(*everyone: Outcomes) -> F64:
    """The outcomes side by side, (problem, kind, row)."""
    rows = [
        np.concatenate([np.stack([np.atleast_2d(x.correct), np.atleast_2d(x.cost)], axis=2), x.counts], axis=2)
        for x in everyone
    ]
    return np.concatenate(rows).astype(np.float64).transpose(1, 2, 0)


def _curves(means: F64, knobs: slice) -> CurveBatch:
    accuracy, cost, counts = means[0], means[1], means[2:, :, knobs]
    return CurveBatch.of(
        strong_tokens=cost[:, knobs],
        accuracy=accuracy[:, knobs],
        weak=(cost[:, 0], accuracy[:, 0]),
        strong=(cost[:, 1], accuracy[:, 1]),
        regenerations=np.moveaxis(counts, 0, 2),
    )


def _check_paired(sweep: Outcomes, weak: Outcomes, strong: Outcomes) -> None:
    shapes = [np.shape(x.correct) for x in (sweep, weak, strong)]
    if [len(shape) for shape in shapes] != [2, 1, 1] or len({shape[-1] for shape in shapes}) != 1:
        raise ConfigError(
            f"shapes {shapes} of sweep, weak and strong do not fit.",
            where="outcomes",
            remedy="Give (knob, problem), (problem,), (problem,) with the same problems in the same order.",
        )
