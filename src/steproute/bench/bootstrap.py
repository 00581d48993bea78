"""95 % intervals: percentile bootstrap over problems for curves and AUC, Wilson for a plain proportion."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from steproute.bench.curves import F64, Curves
from steproute.bench.metrics import Anchor, Curve, CurvePoint, UndefinedMetric
from steproute.core.errors import ConfigError

RESAMPLES: Final = 1000
_LEVEL: Final = 0.95
_BLOCK: Final = 100  # resamples drawn at a time, which bounds the memory


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval; an end is inf where so many resamples never reach the share that a CPT asks for."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Which problems were solved, and the cost of each: its strong generated tokens, or its dollars.

    Both arrays have shape (knob, problem) for a policy and (problem,) for an anchor, problems in the same order
    everywhere. A failed problem is no wrong answer: leave it out of all of them. Raises ConfigError for shapes that
    differ, an empty axis, and costs that are negative or not finite.
    """

    correct: npt.NDArray[np.bool_]
    cost: F64

    def __post_init__(self) -> None:
        shape, tokens = np.shape(self.correct), np.shape(self.cost)
        if shape != tokens or 0 in shape:
            raise ConfigError(f"outcomes: correct is {shape} and cost {tokens}. Give one of each per problem.")
        if not (np.isfinite(self.cost).all() and np.min(self.cost) >= 0):
            raise ConfigError("outcomes.cost: negative or not finite. Give counts, 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveIntervals:
    """The interval of every metric, and of the accuracy at each knob.

    In `undefined` of the resamples strong was no better than weak, or no dearer; the metrics have no value there and
    their intervals leave these resamples out. More than a few of them mean that the gap itself is not established.
    """

    cpt50: Interval
    cpt80: Interval
    cpt95: Interval
    apgr: Interval
    delta_ibc: Interval
    accuracy_at_10: Interval
    accuracy_at_20: Interval
    accuracy_at_30: Interval
    accuracy: tuple[Interval, ...]
    undefined: int


def curve_of(knobs: Sequence[float], sweep: Outcomes, weak: Outcomes, strong: Outcomes) -> Curve:
    """The curve of the outcomes' means, one point for each knob in order.

    Raises ConfigError where the numbers of knobs or problems differ.
    """
    _check_paired(sweep, weak, strong)
    if len(knobs) != len(sweep.correct):
        raise ConfigError(f"knobs: {len(knobs)} for {len(sweep.correct)} rows of outcomes. Give one for each row.")
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

    sweep: (knob, problem); weak, strong: (problem,). Raises ConfigError where the numbers of problems differ,
    UndefinedMetric where no resample has a gap between weak and strong.
    """
    _check_paired(sweep, weak, strong)
    accuracy, strong_tokens, gap = _resampled([sweep], weak, strong, rng, resamples)
    curves = _curves(accuracy[gap], strong_tokens[gap], slice(2, None))
    return CurveIntervals(
        cpt50=_percentiles(curves.cpt(0.5)),
        cpt80=_percentiles(curves.cpt(0.8)),
        cpt95=_percentiles(curves.cpt(0.95)),
        apgr=_percentiles(curves.apgr()),
        delta_ibc=_percentiles(curves.delta_ibc()),
        accuracy_at_10=_percentiles(curves.accuracy_at(0.1)),
        accuracy_at_20=_percentiles(curves.accuracy_at(0.2)),
        accuracy_at_30=_percentiles(curves.accuracy_at(0.3)),
        accuracy=tuple(_percentiles(column) for column in accuracy[:, 2:].T),
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
    return tuple(_percentiles(first.accuracy_at(cost) - second.accuracy_at(cost)) for cost in costs)


METRICS: Final = ("cpt50", "cpt80", "cpt95", "apgr", "delta_ibc", "accuracy_at_10", "accuracy_at_20", "accuracy_at_30")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much one curve's metric exceeds another's, paired over problems.

    p: two-sided, twice the share of resamples on the smaller side of zero, itself counted in, so never 0.
    """

    value: float
    interval: Interval
    p: float


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
        samples.append(
            {
                **{f"cpt{share}": curves.cpt(share / 100) for share in (50, 80, 95)},
                "apgr": curves.apgr(),
                "delta_ibc": curves.delta_ibc(),
                **{f"accuracy_at_{share}": curves.accuracy_at(share / 100) for share in (10, 20, 30)},
            }
        )
    return samples


def difference(first: F64, second: F64) -> Difference:
    """first − second of two metrics as `metric_samples` gives them; where both are inf they are equal."""
    both = np.isinf(first) & np.isinf(second)
    gaps = np.subtract(first, second, out=np.zeros_like(first), where=~both)
    resampled = gaps[1:]
    side = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return Difference(
        value=float(gaps[0]),
        interval=_percentiles(resampled),
        p=min(1.0, 2 * (float(side) + 1) / (len(resampled) + 1)),
    )


def percentile_interval(samples: F64) -> Interval:
    """The middle 95 % of a metric as `metric_samples` gives it."""
    return _percentiles(samples[1:])


def proportion_interval(successes: int, trials: int) -> Interval:
    """95 % Wilson score interval of `successes` out of `trials`.

    Raises ConfigError for counts that cannot be. Source: Wilson (1927).
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ConfigError(
            f"successes: {successes} of {trials} trials cannot be. Give 0 <= successes <= trials, trials > 0."
        )
    z = NormalDist().inv_cdf((1 + _LEVEL) / 2)
    share, shrink = successes / trials, 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def grouped_proportion_interval(
    values: npt.ArrayLike, groups: npt.ArrayLike, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile interval of the share of true `values`, drawing whole groups; both have shape (item,).

    Raises ConfigError for shapes that differ, or no item.
    """
    value = np.asarray(values, np.float64)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if value.ndim != 1 or value.shape != group.shape or not value.size:
        raise ConfigError(f"values: shape {value.shape}, groups {group.shape}. Give one of each per item.")
    true, items = np.bincount(group, value), np.bincount(group).astype(np.float64)
    shares = [count @ true / (count @ items) for count in _draws(len(names), resamples, rng)]
    return _percentiles(np.concatenate(shares))


def roc_auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Chance that a positive scores above a negative, ties counting half; scores and labels have shape (item,).

    Raises ConfigError for shapes that differ or a score that is NaN, UndefinedMetric where a class is missing.
    Source: Mann-Whitney U statistic.
    """
    ranking = _Ranking.of(scores, labels)
    auc = ranking.auc(np.ones((1, len(ranking.order))))
    if np.isnan(auc[0]):
        raise UndefinedMetric("labels: all items are of one class, so there is nothing to tell apart. Add the other.")
    return float(auc[0])


def roc_auc_interval(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """95 % percentile interval of `roc_auc`, drawing whole groups, since the steps of a problem are not independent.

    groups: shape (item,), a problem's id for each item. Resamples of a single class have no AUC and are left out.
    Raises as `roc_auc` does, and ConfigError for groups of another shape.
    """
    roc_auc(scores, labels)
    ranking = _Ranking.of(scores, labels)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != ranking.order.shape:
        raise ConfigError(f"groups: shape {group.shape} for {len(ranking.order)} items. Give one group for each item.")
    aucs = np.concatenate([ranking.auc(count[:, group]) for count in _draws(len(names), resamples, rng)])
    return _percentiles(aucs[~np.isnan(aucs)])


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Items sorted by score, and where each distinct score starts."""

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    positive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, scores: npt.ArrayLike, labels: npt.ArrayLike) -> "_Ranking":
        score, label = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
        if score.ndim != 1 or score.shape != label.shape:
            raise ConfigError(f"scores: shape {score.shape}, labels {label.shape}. Give one of each per item.")
        if len(score) == 0 or np.isnan(score).any():
            raise ConfigError("scores: none, or one is NaN. Leave unscored items out of scores and labels.")
        order = np.argsort(score, kind="stable")
        starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
        return cls(order, starts, label[order])

    def auc(self, weight: F64) -> F64:
        """AUC of weighted items, NaN for a single class; weight: (resample, item), result: (resample,)."""
        weight = weight[:, self.order]
        positive = np.add.reduceat(weight * self.positive, self.starts, axis=1)  # (resample, distinct score)
        negative = np.add.reduceat(weight * ~self.positive, self.starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        won = (positive * (below + negative / 2)).sum(axis=1)
        auc: F64 = np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs > 0)
        return auc


def _resampled(
    sweeps: Sequence[Outcomes], weak: Outcomes, strong: Outcomes, rng: np.random.Generator, resamples: int
) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
    """Mean accuracy and strong tokens, (resample, weak | strong | knobs of each sweep), and where there is a gap."""
    problems = len(weak.correct)
    correct = [weak.correct, strong.correct, *(row for sweep in sweeps for row in sweep.correct)]
    tokens = [weak.cost, strong.cost, *(row for sweep in sweeps for row in sweep.cost)]
    outcomes = np.array([*correct, *tokens], np.float64).T
    means = np.concatenate([count @ outcomes / problems for count in _draws(problems, resamples, rng)])
    accuracy, strong_tokens = np.hsplit(means, 2)
    gap = (accuracy[:, 1] > accuracy[:, 0]) & (strong_tokens[:, 1] > strong_tokens[:, 0])
    if not gap.any():
        raise UndefinedMetric(
            f"outcomes: strong is better and dearer than weak in none of {resamples} resamples, so there is no gap to "
            "recover. Choose a stronger model, or more problems."
        )
    return accuracy, strong_tokens, gap


def _curves(accuracy: F64, tokens: F64, knobs: slice) -> Curves:
    return Curves.of(
        strong_tokens=tokens[:, knobs],
        accuracy=accuracy[:, knobs],
        weak=(tokens[:, 0], accuracy[:, 0]),
        strong=(tokens[:, 1], accuracy[:, 1]),
    )


def _draws(size: int, resamples: int, rng: np.random.Generator) -> Iterator[F64]:
    """How often each of `size` things is drawn in a resample; blocks of shape (resample, thing)."""
    if resamples < 1:
        raise ConfigError(f"resamples: {resamples} is below 1. {RESAMPLES} is usual.")
    for done in range(0, resamples, _BLOCK):
        block = min(_BLOCK, resamples - done)
        yield rng.multinomial(size, np.full(size, 1 / size), size=block).astype(np.float64)


def _percentiles(values: F64) -> Interval:
    """The middle 95 % of `values`, ends rounded outwards to a value that occurs: inf is not interpolated with."""
    ascending = np.sort(values)
    tail = (1 - _LEVEL) / 2 * (len(values) - 1)
    return Interval(float(ascending[math.floor(tail)]), float(ascending[math.ceil(len(values) - 1 - tail)]))


def _check_paired(sweep: Outcomes, weak: Outcomes, strong: Outcomes) -> None:
    shapes = [np.shape(x.correct) for x in (sweep, weak, strong)]
    if [len(shape) for shape in shapes] != [2, 1, 1] or len({shape[-1] for shape in shapes}) != 1:
        raise ConfigError(
            f"outcomes: shapes {shapes} of sweep, weak and strong do not fit. "
            "Give (knob, problem), (problem,), (problem,) with the same problems in the same order."
        )
