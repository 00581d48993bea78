"""The logistic function."""

from typing import Any, overload

import numpy as np

from steproute.core.arrays import F64


@overload
def logistic(logits: F64) -> F64: ...
@overload
def logistic(logits: float) -> float: ...
def logistic(logits: Any) -> Any:
    """1 / (1 + e^−x), of numbers of any size: 0 and 1 at the ends."""
    with np.errstate(over="ignore"):  # e^−x is infinite and the result 0
        return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
