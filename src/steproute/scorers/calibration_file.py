"""A scorer's calibration on disk."""

from pathlib import Path
from typing import Any

import numpy as np

from steproute.artifacts import FACTS, Artifact, UnsoundArtifact, read_artifact, sound_arrays
from steproute.core.errors import ArtifactError, ConfigError
from steproute.scorers.calibrated import Isotonic, ScoreMap, Temperature


def score_map_artifact(score_map: ScoreMap, facts: dict[str, Any]) -> Artifact:
    """A scorer's calibration as an artefact; `facts` say what it was fitted on."""
    if isinstance(score_map, Isotonic):
        return Artifact(kind="isotonic", arrays={"scores": score_map.scores, "values": score_map.values}, facts=facts)
    assert isinstance(score_map, Temperature)
    numbers = np.array([score_map.temperature, score_map.shift])
    return Artifact(kind="temperature", arrays={"numbers": numbers}, facts=facts)


def load_score_map(folder: Path) -> ScoreMap:
    """A scorer's calibration; raises ArtifactError if it is missing, damaged or of another kind."""
    if not (folder / FACTS).exists():
        raise ArtifactError(f"{folder} holds no calibration. `steproute calibrate-scorer` makes one.", where="scorer")
    try:
        artifact = read_artifact(folder)
        if artifact.kind == "isotonic":
            knots = sound_arrays(artifact, scores=1, values=1)
            return Isotonic(knots["scores"], knots["values"])
        if artifact.kind == "temperature":
            return Temperature(*sound_arrays(artifact, numbers=1)["numbers"].tolist())
    except (TypeError, ConfigError, UnsoundArtifact) as failure:
        reason = failure.message if isinstance(failure, UnsoundArtifact) else failure
        raise ArtifactError(
            f"{folder} is incomplete or damaged ({reason}).", where="scorer", remedy="Calibrate it again."
        ) from None
    raise ArtifactError(f"{folder} is of kind {artifact.kind!r}, not a calibration.", where="scorer")
