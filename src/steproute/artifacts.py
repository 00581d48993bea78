"""Trained policies and calibrations on disk: `policy.safetensors` for numbers, `policy.json` for everything else.

Nothing is pickled. What is read has the type, the shape and the range that its reader relies on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from steproute.core.arrays import F64
from steproute.core.errors import ArtifactError, StorageError
from steproute.core.whole_file import write_whole

FORMAT: Final = 1
TENSORS: Final = "policy.safetensors"
FACTS: Final = "policy.json"
PARTS: Final = "parts"
"""Subfolder of an artefact with parts: each of its folders is an artefact of its own."""

_NEXT: Final = "policy.safetensors.next"
_T = TypeVar("_T")


class UnsoundArtifact(ArtifactError):
    """A file or field of an artefact is missing or damaged. `remedy` is empty for making it again."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, where="artefact", remedy=remedy)

    def __str__(self) -> str:
        return f"artefact: {self.message}. {self.remedy or 'Make it again.'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What was trained or fitted, as it lies on disk: its kind, its arrays and how it was made.

    facts: JSON values; what it was trained on, seeds, settings and figures. files: further files of its folder, by
    name.
    """

    kind: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Write its files. A kill at any moment leaves the old artefact whole, or the new one.

    `policy.json` holds the digests of all and decides: until it is replaced, the new numbers lie beside the old ones,
    where `read_artifact` finds them as soon as it is. Of an artefact with further files a kill may leave none: they are
    replaced first. Raises StorageError.
    """
    tensors = save({name: np.ascontiguousarray(array) for name, array in artifact.arrays.items()})
    document = {
        "format": FORMAT,
        "kind": artifact.kind,
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
        "facts": dict(artifact.facts),
    }
    if artifact.files:
        document["files_sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in artifact.files.items()}
    document["sha256"] = _digest(document)
    try:
        _finish_write(folder)
        for name, data in artifact.files.items():
            write_whole(folder / name, data)
        write_whole(folder / _NEXT, tensors)
        write_whole(folder / FACTS, (json.dumps(document, indent=2) + "\n").encode())
        (folder / _NEXT).replace(folder / TENSORS)
    except OSError as failure:
        raise StorageError.of(folder, failure) from None


def read_artifact(folder: Path) -> Artifact:
    """Read an artefact back; raises ArtifactError where a file is missing, truncated, altered or of a newer format."""
    document = _document(folder)
    tensors = _tensors(folder, document["tensors_sha256"])
    try:
        arrays = load(tensors)
    except (SafetensorError, KeyError, ValueError, TypeError) as failure:
        raise UnsoundArtifact(
            f"{folder / TENSORS} cannot be read ({type(failure).__name__}: {failure}). It has to hold floats and "
            "integers that NumPy knows"
        ) from None
    files = {name: _file(folder / name, digest) for name, digest in document.get("files_sha256", {}).items()}
    return Artifact(kind=document["kind"], arrays=arrays, facts=document["facts"], files=files)


def read_parts(folder: Path) -> list[Artifact]:
    """The parts of an artefact, by the names of their folders; raises ArtifactError as `read_artifact`."""
    return [read_artifact(part) for part in _parts(folder)]


def artifact_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of an artefact and of its parts; raises ArtifactError as `read_artifact`."""
    digests: dict[str, str] = {}
    for each in (folder, *_parts(folder)):
        document, place = _document(each), each.relative_to(folder)
        files = {FACTS: document["sha256"], TENSORS: document["tensors_sha256"], **document.get("files_sha256", {})}
        digests |= {str(place / name): digest for name, digest in files.items()}
    return digests


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


def _parts(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / PARTS).glob(f"*/{FACTS}"))


def _document(folder: Path) -> dict[str, Any]:
    """`policy.json`, as it was written."""
    path = folder / FACTS
    try:
        document = json.loads(_bytes(path))
        digest = _digest({key: value for key, value in document.items() if key != "sha256"})
    except (ValueError, RecursionError) as failure:
        raise UnsoundArtifact(f"{path} is not JSON ({failure})") from None
    except AttributeError:
        raise UnsoundArtifact(f"{path} is not of format {FORMAT}") from None
    if document.get("format") != FORMAT:
        raise UnsoundArtifact(f"{path} is not of format {FORMAT}")
    if digest != document.get("sha256"):
        raise UnsoundArtifact(f"{path} was altered after it was written")
    for name, kind in (("kind", str), ("tensors_sha256", str), ("facts", dict)):
        if not isinstance(document.get(name), kind):
            raise UnsoundArtifact(f"{path}: {name} is {document.get(name)!r:.80}")
    return dict(document)


def _tensors(folder: Path, digest: str) -> bytes:
    """The numbers that `policy.json` names, also if the last write of it was killed before it had moved them."""
    for name in (_NEXT, TENSORS):
        if name == _NEXT and not (folder / _NEXT).exists():
            continue
        tensors = _bytes(folder / name)
        if hashlib.sha256(tensors).hexdigest() == digest:
            return tensors
    raise UnsoundArtifact(f"{folder / TENSORS} is truncated or was altered")


def _file(path: Path, digest: str) -> bytes:
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnsoundArtifact(f"{path} is truncated or was altered")
    return data


def _finish_write(folder: Path) -> None:
    """Move the numbers of a write that was killed after `policy.json`, before a new one takes their place."""
    try:
        wanted, following = _document(folder)["tensors_sha256"], (folder / _NEXT).read_bytes()
    except (ArtifactError, FileNotFoundError):
        return
    if hashlib.sha256(following).hexdigest() == wanted:
        (folder / _NEXT).replace(folder / TENSORS)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnsoundArtifact(f"{path} does not exist", "`steproute train` makes a policy.") from None
    except OSError as failure:
        raise UnsoundArtifact(f"{path} cannot be read ({failure.strerror})", "Name a policy's folder.") from None


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


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
