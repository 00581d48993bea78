"""STEER's mixture, fitted without labels to how sure weak was of its steps."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from steproute.core.errors import DatasetError
from steproute.policies.steer import ConfidenceMixture

_LEAST_STEPS: Final = 50


def fit_mixture(mean_logprobs: Sequence[float], seed: int) -> ConfidenceMixture:
    """Two Gaussians by EM. Raises DatasetError for too few steps, or steps of one confidence.

    Source: STEER (arXiv 2511.06190), which fits raw logits; APIs give log-probabilities.
    """
    from sklearn.mixture import GaussianMixture

    values = np.asarray(mean_logprobs, np.float64)[:, None]
    if len(values) < _LEAST_STEPS or len(np.unique(values)) < 2:
        raise DatasetError(
            f"steps with log-probabilities: {len(values)}, of {len(np.unique(values))} different confidences. "
            f"{_LEAST_STEPS} are the least.",
            remedy="Use more problems.",
        )
    fitted = GaussianMixture(2, random_state=seed, n_init=4).fit(values)
    order = np.argsort(fitted.means_[:, 0])
    return ConfidenceMixture(
        shares=fitted.weights_[order],
        means=fitted.means_[order, 0],
        deviations=np.sqrt(fitted.covariances_[order, 0, 0]),
    )
