"""How good a scorer is, in figures: calibrated or not, and able to rank correct steps above incorrect ones or not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steproute.core.arrays import F64
from steproute.evaluation.auc import roc_auc, within_prefix_auc, within_prefix_auc_interval
from steproute.evaluation.labelled import LabelledSteps
from steproute.evaluation.metrics import UndefinedMetric
from steproute.evaluation.reliability import brier_score, expected_calibration_error
from steproute.evaluation.resampling import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerFigures:
    """Calibration error and Brier score (0 is best), ROC-AUC over all steps and within prefixes (1 is best).

    The within-prefix figures are None if no prefix holds both a correct and an incorrect step.
    """

    ece: float
    brier: float
    auc: float
    within_prefix_auc: float | None
    within_prefix_auc_ci95: Interval | None

    def worse_than(self, other: "ScorerFigures") -> bool:
        """Whether these scores are further from probabilities, by either measure."""
        return self.ece > other.ece or self.brier > other.brier


def scorer_figures(
    steps: LabelledSteps, candidates: LabelledSteps, seed: int, score_map: Callable[[F64], F64] = np.asarray
) -> ScorerFigures:
    """Figures of mapped scores: `steps` for calibration and AUC, `candidates` for the within-prefix AUC.

    `seed` decides the resamples. Raises UndefinedMetric if `steps` are all correct or all incorrect.
    """
    scores = score_map(steps.scores)
    within, interval = _within_prefix(candidates, score_map(candidates.scores), seed)
    return ScorerFigures(
        ece=expected_calibration_error(scores, steps.correct),
        brier=brier_score(scores, steps.correct),
        auc=roc_auc(scores, steps.correct),
        within_prefix_auc=within,
        within_prefix_auc_ci95=interval,
    )


def _within_prefix(candidates: LabelledSteps, scores: F64, seed: int) -> tuple[float | None, Interval | None]:
    labels, prefixes = candidates.correct, candidates.prefixes
    try:
        value = within_prefix_auc(scores, labels, prefixes)
    except UndefinedMetric:
        return None, None
    rng = np.random.default_rng(seed)
    interval = within_prefix_auc_interval(scores, labels, prefixes, candidates.groups, rng)
    return value, None if np.isnan(interval.low) else interval
