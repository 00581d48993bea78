"""Policy artefacts: `policy.safetensors` for numbers, `policy.json` for everything else, and no pickle anywhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from steproute.core.errors import ArtifactError

FORMAT: Final = 1
TENSORS: Final = "policy.safetensors"
FACTS: Final = "policy.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A trained policy as it lies on disk: its kind, its arrays and how it was made.

    facts: JSON values; what it was trained on, seeds, settings and figures.
    """

    kind: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Write both files; `policy.json` comes last and holds the digests of both, so that half a write is no artefact."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = save({name: np.ascontiguousarray(array) for name, array in artifact.arrays.items()})
    document = {
        "format": FORMAT,
        "kind": artifact.kind,
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
        "facts": dict(artifact.facts),
    }
    document["sha256"] = _digest(document)
    (folder / TENSORS).write_bytes(tensors)
    draft = (folder / FACTS).with_suffix(".tmp")
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(folder / FACTS)


def read_artifact(folder: Path) -> Artifact:
    """Read a policy back; raises ArtifactError where a file is missing, truncated, altered or of a newer format."""
    try:
        document, tensors = json.loads((folder / FACTS).read_bytes()), (folder / TENSORS).read_bytes()
    except FileNotFoundError as failure:
        raise ArtifactError(f"policy: {failure.filename} does not exist. `steproute train` makes a policy.") from None
    except ValueError as failure:
        raise ArtifactError(f"policy: {folder / FACTS} is not JSON ({failure}). Train the policy again.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"policy: {folder / FACTS} is not of format {FORMAT}. Train the policy again.")
    if _digest({key: value for key, value in document.items() if key != "sha256"}) != document.get("sha256"):
        raise ArtifactError(f"policy: {folder / FACTS} was altered after training. Train the policy again.")
    if hashlib.sha256(tensors).hexdigest() != document["tensors_sha256"]:
        raise ArtifactError(f"policy: {folder / TENSORS} is truncated or was altered. Train the policy again.")
    try:
        return Artifact(kind=document["kind"], arrays=load(tensors), facts=document["facts"])
    except SafetensorError as failure:
        raise ArtifactError(f"policy: {folder / TENSORS} cannot be read ({failure}). Train the policy again.") from None


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
