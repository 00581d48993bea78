"""How well scores rank correct steps above incorrect ones: among all steps, and among candidates of one prefix."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.metrics import UndefinedMetric
from steproute.evaluation.resampling import RESAMPLES, Interval, draws, percentiles

CHOOSES_FROM: Final = 0.6


def roc_auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Chance that a positive scores above a negative, ties counting half; scores and labels have shape (item,).

    Raises ConfigError for shapes that differ or a score that is NaN, UndefinedMetric if a class is missing.
    Source: Mann-Whitney U statistic.
    """
    ranking = _Ranking.of(scores, labels)
    auc = ranking.auc(np.ones((1, len(ranking.order))))
    if np.isnan(auc[0]):
        raise UndefinedMetric("labels: all items are of one class, so there is nothing to separate. Add the other.")
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
        raise ConfigError(
            f"shape {group.shape} for {len(ranking.order)} items.",
            where="groups",
            remedy="Give one group for each item.",
        )
    aucs = np.concatenate([ranking.auc(count[:, group]) for count in draws(len(names), resamples, rng)])
    return percentiles(aucs[~np.isnan(aucs)])


def within_prefix_auc(scores: npt.ArrayLike, labels: npt.ArrayLike, prefixes: npt.ArrayLike) -> float:
    """Chance that a correct step scores above an incorrect one that follows the same prefix, ties counting half.

    scores, labels, prefixes: shape (item,); `prefixes` names the prefix that each step follows. Every pair of a correct
    and an incorrect step of one prefix counts once, whichever prefix it is of. Raises ConfigError for shapes that
    differ or a score that is NaN, UndefinedMetric if no prefix holds both a correct and an incorrect step.
    """
    won, pairs = _within_prefix_pairs(scores, labels, prefixes)[1:]
    if not pairs.sum():
        raise UndefinedMetric(
            "labels: no prefix holds both a correct and an incorrect step, so there is no choice to judge. "
            "Sample more steps per prefix."
        )
    return float(won.sum() / pairs.sum())


def within_prefix_auc_interval(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    prefixes: npt.ArrayLike,
    groups: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """95 % percentile interval of `within_prefix_auc`, drawing whole groups.

    groups: shape (item,), a problem's id for each item; all steps of one prefix belong to one group. Both ends are NaN
    if more than 5 % of the resamples hold no pair. Raises as `within_prefix_auc` does, and ConfigError for groups of
    another shape or a prefix that belongs to two groups.
    """
    within_prefix_auc(scores, labels, prefixes)
    prefix, won, pairs = _within_prefix_pairs(scores, labels, prefixes)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != prefix.shape:
        raise ConfigError(
            f"shape {group.shape} for {len(prefix)} items.", where="groups", remedy="Give one group for each item."
        )
    group_of = np.zeros(len(won), np.intp)
    group_of[prefix] = group
    if (group_of[prefix] != group).any():
        raise ConfigError(
            "one prefix belongs to two groups.", where="groups", remedy="Give all steps of a prefix the same group."
        )
    of_group = np.stack([np.bincount(group_of, each, len(names)) for each in (won, pairs)], axis=1)
    totals = np.concatenate([count @ of_group for count in draws(len(names), resamples, rng)])  # (resample, 2)
    aucs = np.divide(totals[:, 0], totals[:, 1], out=np.full(len(totals), np.nan), where=totals[:, 1] > 0)
    return percentiles(aucs)


def can_choose(auc: float) -> str:
    """What a within-prefix AUC means for a strategy that picks one of several candidates, in one sentence."""
    if auc < CHOOSES_FROM:
        return f"below {CHOOSES_FROM:g} this scorer cannot choose among candidates of one step; 0.5 is chance"
    return f"at {CHOOSES_FROM:g} or above this scorer can choose among candidates of one step; 0.5 is chance"


def _within_prefix_pairs(
    scores: npt.ArrayLike, labels: npt.ArrayLike, prefixes: npt.ArrayLike
) -> tuple[npt.NDArray[np.intp], F64, F64]:
    """Each item's prefix as a number (item,), and for each prefix the pairs won by correct steps, and all its pairs."""
    score, label = _checked(scores, labels)
    _, prefix = np.unique(np.asarray(prefixes), return_inverse=True)
    if prefix.shape != score.shape:
        raise ConfigError(
            f"shape {prefix.shape} for {len(score)} items.", where="prefixes", remedy="Give one for each item."
        )
    order = np.lexsort((score, prefix))
    begins = _changes(score[order]) | _changes(prefix[order])
    tie = np.cumsum(begins) - 1  # which run of equal scores of one prefix each item belongs to
    positive = np.bincount(tie, label[order]).astype(np.float64)
    negative = np.bincount(tie, ~label[order]).astype(np.float64)
    of_tie = prefix[order][begins]
    all_negative = np.bincount(of_tie, negative)
    below = np.cumsum(negative) - negative - (np.cumsum(all_negative) - all_negative)[of_tie]
    won = np.bincount(of_tie, positive * (below + negative / 2)).astype(np.float64)
    pairs = np.bincount(of_tie, positive * all_negative[of_tie]).astype(np.float64)
    return prefix, won, pairs


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[F64, npt.NDArray[np.bool_]]:
    score, label = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    if score.ndim != 1 or score.shape != label.shape:
        raise ConfigError(
            f"shape {score.shape}, labels {label.shape}.", where="scores", remedy="Give one of each per item."
        )
    if len(score) == 0 or np.isnan(score).any():
        raise ConfigError(
            "none, or one is NaN.", where="scores", remedy="Leave unscored items out of scores and labels."
        )
    return score, label


def _changes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Where a run of equal values begins."""
    return np.concatenate([[True], values[1:] != values[:-1]])


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Items sorted by score, and where each distinct score starts."""

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    positive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, scores: npt.ArrayLike, labels: npt.ArrayLike) -> "_Ranking":
        score, label = _checked(scores, labels)
        order = np.argsort(score, kind="stable")
        return cls(order, np.flatnonzero(_changes(score[order])), label[order])

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
