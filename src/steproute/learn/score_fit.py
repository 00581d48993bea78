"""Maps from a scorer's scores to probabilities, fitted on labelled steps."""

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.scorers.calibrated import Isotonic, Temperature

_LEAST_OF_EITHER = 10


def fit_temperature(scores: F64, labels: F64) -> Temperature:
    """Temperature and shift of the least log loss; scores, labels: (step,).

    Raises DatasetError for too few steps of either label. Source: Platt 1999; Guo et al. 2017.
    """
    from scipy.optimize import minimize

    _check(labels)

    def log_loss(parameters: F64) -> float:
        mapped = np.clip(Temperature(float(np.exp(parameters[0])), float(parameters[1]))(scores), 1e-12, 1 - 1e-12)
        return -float((labels * np.log(mapped) + (1 - labels) * np.log(1 - mapped)).mean())

    best = minimize(log_loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    return Temperature(float(np.exp(best[0])), float(best[1]))


def fit_isotonic(scores: F64, labels: F64) -> Isotonic:
    """Isotonic regression; scores, labels: (step,). Raises DatasetError for too few steps of either label."""
    from sklearn.isotonic import IsotonicRegression

    _check(labels)
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, labels)
    return Isotonic(np.asarray(model.X_thresholds_, float), np.asarray(model.y_thresholds_, float))


def _check(labels: F64) -> None:
    right = int(labels.sum())
    if min(right, len(labels) - right) < _LEAST_OF_EITHER:
        raise DatasetError(
            f"labelled steps: {right} right and {len(labels) - right} wrong; {_LEAST_OF_EITHER} of "
            "either are the least.",
            remedy="Use more.",
        )
