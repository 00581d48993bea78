"""Reading the fields of an artefact: each has the type, the shape and the range that its policy relies on."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar

import numpy as np

from steproute.policies.artifact import Artifact, UnsoundArtifact
from steproute.policies.learned import F64

_T = TypeVar("_T")


def sound_arrays(artifact: Artifact, **dimensions: int) -> dict[str, F64]:
    """All arrays as float64; raises ArtifactError for one that is missing, of other dimensions or not finite."""
    for name in dimensions:
        if name not in artifact.arrays:
            raise UnsoundArtifact(f"{name}: the array is missing")
    return {name: _sound_array(name, array, dimensions.get(name)) for name, array in artifact.arrays.items()}


def sound_number(table: Mapping[str, Any], name: str) -> float:
    """A finite number of a table; raises ArtifactError."""
    return _finite(_of(table, name), name)


def sound_numbers(table: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """A list of finite numbers of a table; raises ArtifactError."""
    values = _of(table, name)
    if not isinstance(values, list):
        raise UnsoundArtifact(f"{name}: {values!r:.80} is no list of numbers")
    return tuple(_finite(value, name) for value in values)


def sound_choice(table: Mapping[str, Any], name: str, choices: Sequence[_T]) -> _T:
    """One of the choices of a table; raises ArtifactError."""
    value = _of(table, name)
    for choice in choices:
        if value == choice:
            return choice
    known = ", ".join(map(str, choices))
    raise UnsoundArtifact(f"{name}: {value!r:.80} is unknown", f"It has to be one of {known}.")


def _of(table: Mapping[str, Any], name: str) -> Any:
    if not isinstance(table, Mapping) or name not in table:
        raise UnsoundArtifact(f"{name}: is missing")
    return table[name]


def _finite(value: Any, name: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -1e300 < value < 1e300 or not isfinite(value):
        raise UnsoundArtifact(f"{name}: {value!r:.80} is no finite number")
    return float(value)


def _sound_array(name: str, array: np.ndarray[Any, Any], dimensions: int | None) -> F64:
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise UnsoundArtifact(f"{name}: the array holds something that is no finite number")
    if not array.size or (dimensions is not None and array.ndim != dimensions):
        wanted = "" if dimensions is None else f", {dimensions} dimensions are needed"
        raise UnsoundArtifact(f"{name}: the array has shape {array.shape}{wanted}")
    return np.asarray(array, float)
