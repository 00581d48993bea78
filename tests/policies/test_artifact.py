from pathlib import Path

import numpy as np
import pytest

from steproute.core.errors import ArtifactError, ConfigError
from steproute.learn.plan import plan
from steproute.policies.artifact import Artifact, read_artifact, write_artifact
from steproute.policies.pomdp import PomdpFamily
from steproute.policies.step_pomdp import StepPomdp
from steproute.policies.stored import load_policy, pomdp_artifact


@pytest.fixture
def family() -> PomdpFamily:
    rng = np.random.default_rng(0)
    observations = rng.random((3, 4, 4))
    model = StepPomdp(
        weak_accuracy=0.8,
        strong_accuracy=0.95,
        hazard=np.array([0.0, 0.2, 0.5, 1.0]),
        observations=observations / observations.sum((1, 2), keepdims=True),
    )
    return PomdpFamily(plan(model, [0.1, 0.4], points=11))


def test_a_plan_comes_back_bit_for_bit(tmp_path: Path, family: PomdpFamily) -> None:
    write_artifact(pomdp_artifact(family, {"seed": 3}), tmp_path / "p")
    again = load_policy(tmp_path / "p")
    assert again.knobs == family.knobs
    assert np.array_equal(again.plan.upper, family.plan.upper)
    assert np.array_equal(again.plan.alphas, family.plan.alphas)
    assert np.array_equal(again.plan.model.observations, family.plan.model.observations)
    assert read_artifact(tmp_path / "p").facts["seed"] == 3
    with pytest.raises(ConfigError, match="cost: 0.2 is not in the plan. It holds 0.1, 0.4"):
        again.at(0.2, 0)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("policy.safetensors", lambda data: data[:-9], "is truncated or was altered"),
        ("policy.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "is truncated or was altered"),
        ("policy.json", lambda data: data[:-20], "is not JSON"),
        ("policy.json", lambda data: data.replace(b'"seed": 3', b'"seed": 4'), "was altered after training"),
        ("policy.json", lambda data: data.replace(b'"format": 1', b'"format": 2'), "is not of format 1"),
        ("policy.json", lambda data: b"[]", "is not of format 1"),
    ],
)
def test_a_damaged_artifact_is_refused(
    tmp_path: Path, family: PomdpFamily, file: str, change: object, message: str
) -> None:
    write_artifact(pomdp_artifact(family, {"seed": 3}), tmp_path)
    data = (tmp_path / file).read_bytes()
    changed = change(data)  # type: ignore[operator]
    assert changed != data
    (tmp_path / file).write_bytes(changed)
    with pytest.raises(ArtifactError, match=message):
        load_policy(tmp_path)


def test_a_missing_artifact_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist. `steproute train` makes a policy"):
        load_policy(tmp_path)
    write_artifact(Artifact(kind="tarot", arrays={"cards": np.arange(3.0)}), tmp_path)
    with pytest.raises(ArtifactError, match="of kind 'tarot'"):
        load_policy(tmp_path)
    write_artifact(Artifact(kind="pomdp", arrays={"cards": np.arange(3.0)}, facts={"model": {}}), tmp_path)
    with pytest.raises(ArtifactError, match="hazard: the array is missing"):
        load_policy(tmp_path)
