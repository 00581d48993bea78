import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import Artifact, write_artifact
from steproute.config import lab_roles
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.solution import Prefix, Step
from steproute.lab.story import Story, generate
from steproute.scorers.calibrated import Isotonic, Temperature
from steproute.scorers.calibration_file import load_score_map, score_map_artifact

UNIT = st.floats(0, 1)


@given(st.lists(UNIT, min_size=2, max_size=20), st.floats(0.05, 20), st.floats(-5, 5))
def test_a_temperature_keeps_the_order_and_the_unit_interval(scores: list[float], temp: float, shift: float) -> None:
    ordered = np.sort(scores)
    mapped = Temperature(temp, shift)(ordered)
    assert ((mapped >= 0) & (mapped <= 1)).all()
    assert (np.diff(mapped) >= 0).all()


def test_temperature_one_changes_nothing() -> None:
    scores = np.linspace(0.001, 0.999, 50)
    assert Temperature(1.0)(scores) == pytest.approx(scores)


def test_a_calibrated_scorer_maps_every_score_of_the_scorer_under_it(tmp_path: Path) -> None:
    fitted = Isotonic(np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.2, 0.9]))
    write_artifact(score_map_artifact(fitted, {}), tmp_path)
    problem = next(generate("test", seed=0))
    texts = Story.parse(problem.text).solution()[:3]
    prefix = Prefix(problem=problem, session="s").extended(*(Step(role="w", text=t, tokens=1) for t in texts))
    plain = asyncio.run(lab_roles().scorer().scorer.score(prefix))
    mapped = asyncio.run(lab_roles(str(tmp_path)).scorer().scorer.score(prefix))
    assert mapped.values == pytest.approx(fitted(np.array(plain.values)))
    assert mapped.model == "lab-verifier-calibrated"


def test_score_maps_round_trip_and_others_are_rejected(tmp_path: Path) -> None:
    write_artifact(score_map_artifact(Temperature(2.0, -0.5), {}), tmp_path)
    assert load_score_map(tmp_path) == Temperature(2.0, -0.5)
    write_artifact(Artifact(kind="isotonic", arrays={"scores": np.zeros(2)}), tmp_path)
    with pytest.raises(ArtifactError, match="is incomplete"):
        load_score_map(tmp_path)
    write_artifact(Artifact(kind="agg", arrays={"a": np.zeros(2)}), tmp_path)
    with pytest.raises(ArtifactError, match="is of kind 'agg', not a calibration"):
        load_score_map(tmp_path)
    with pytest.raises(ConfigError, match="temperature: 0"):
        Temperature(0)
    with pytest.raises(ConfigError, match="do not ascend"):
        Isotonic(np.array([0.0, 1.0]), np.array([0.5, 0.4]))
    with pytest.raises(ConfigError, match="are no map"):
        Isotonic(np.array([]), np.array([]))
