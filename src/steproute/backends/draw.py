"""One token out of a model's logits."""

import numpy as np
import numpy.typing as npt

from steproute.core.solution import Sampling

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def log_softmax(logits: F32) -> F64:
    """Log-probabilities of all tokens at temperature 1."""
    shifted = logits.astype(np.float64) - logits.max()
    answer: F64 = shifted - np.log(np.exp(shifted).sum())
    return answer


def draw(logits: F32, sampling: Sampling, point: float) -> int:
    """A token id: temperature, then top-k, then top-p, then `point`, uniform in [0, 1), picks among what is left.

    Temperature 0 takes the most likely token.
    """
    if sampling.temperature <= 0:
        return int(logits.argmax())
    top_k = sampling.top_k if 0 < sampling.top_k < len(logits) else len(logits)
    likeliest = np.argpartition(-logits, top_k - 1)[:top_k]
    order = likeliest[np.argsort(-logits[likeliest], kind="stable")]
    ranked = logits[order].astype(np.float64)
    weights = np.exp((ranked - ranked[0]) / sampling.temperature)
    before = np.cumsum(weights) - weights
    weights = weights[before < sampling.top_p * weights.sum()]
    cumulative = np.cumsum(weights)
    return int(order[min(np.searchsorted(cumulative, point * cumulative[-1], side="right"), len(weights) - 1)])
