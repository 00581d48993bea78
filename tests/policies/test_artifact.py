import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steproute.artifacts import Artifact, read_artifact, write_artifact
from steproute.core.errors import ArtifactError, ConfigError, StorageError
from steproute.learn.plan import plan
from steproute.policies.stored import load_policy, pomdp_artifact
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import PomdpFamily


@pytest.fixture
def family() -> PomdpFamily:
    rng = np.random.default_rng(0)
    observations = rng.random((3, 4, 4))
    model = StepPomdp(
        weak_accuracy=0.8,
        rewriters=(Rewriter("strong", 0.95),),
        hazard=np.array([0.0, 0.2, 0.5, 1.0]),
        observations=observations / observations.sum((1, 2), keepdims=True),
    )
    return PomdpFamily(plan(model, [0.1, 0.4], points=11))


def test_a_plan_comes_back_bit_for_bit(tmp_path: Path, family: PomdpFamily) -> None:
    write_artifact(pomdp_artifact(family, {"seed": 3}), tmp_path / "p")
    again = load_policy(tmp_path / "p")
    assert np.array_equal(again.plan.costs, family.plan.costs)
    assert np.array_equal(again.plan.upper, family.plan.upper)
    assert np.array_equal(again.plan.alphas, family.plan.alphas)
    assert np.array_equal(again.plan.model.observations, family.plan.model.observations)
    assert read_artifact(tmp_path / "p").facts["seed"] == 3
    with pytest.raises(ConfigError, match="knob: 0.2 is no rank of this TRIM-POMDP"):
        again.at(0.2, 0)


def test_the_artefact_of_a_plan_for_three_roles_holds_them(tmp_path: Path, family: PomdpFamily) -> None:
    rewriters = (Rewriter("mid", 0.9, 0.25), Rewriter("strong", 0.95))
    three = PomdpFamily(plan(replace(family.plan.model, rewriters=rewriters), [0.1, 0.4], points=11))
    write_artifact(pomdp_artifact(three, {}), tmp_path)
    again = load_policy(tmp_path)
    assert isinstance(again, PomdpFamily)
    assert again.plan.model.rewriters == rewriters
    assert again.at(1, 0).rewriters == ("mid", "strong")
    assert np.array_equal(again.plan.alphas, three.plan.alphas)


def test_an_artefact_of_the_version_for_two_roles_is_read_and_planned_alike() -> None:
    family = load_policy(Path(__file__).parent / "artefacts" / "pomdp-two-roles")
    assert isinstance(family, PomdpFamily)
    old = family.plan
    assert old.model.rewriters == (Rewriter("strong", 0.95),)
    again = plan(old.model, old.costs.tolist(), points=11)
    np.testing.assert_allclose(again.upper, old.upper, rtol=1e-12)
    np.testing.assert_allclose(again.alphas, old.alphas, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rewriters", [[], {}, "strong", ["strong"], [{"name": 1, "accuracy": 1, "relative_cost": 1}]])
def test_rewriters_that_are_none_are_refused(tmp_path: Path, family: PomdpFamily, rewriters: object) -> None:
    artifact = pomdp_artifact(family, {})
    artifact.facts["model"]["rewriters"] = rewriters
    write_artifact(artifact, tmp_path)
    with pytest.raises(ArtifactError, match="rewriters"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("policy.safetensors", lambda data: data[:-9], "is truncated or was altered"),
        ("policy.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "is truncated or was altered"),
        ("policy.json", lambda data: data[:-20], "is not JSON"),
        ("policy.json", lambda data: data.replace(b'"seed": 3', b'"seed": 4'), "was altered after it was written"),
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


def test_an_artifact_that_cannot_be_put_in_its_place_says_which(tmp_path: Path) -> None:
    (tmp_path / "policy.safetensors").mkdir()
    with pytest.raises(StorageError, match=rf"{tmp_path}: Is a directory"):
        write_artifact(artifact(1.0), tmp_path)


class _Killed(BaseException):
    """Nothing of a killed process runs any more."""


def killed_at(step: int, patch: pytest.MonkeyPatch, folder: Path, number: float) -> bool:
    """Write an artefact in a process that dies at its `step`-th call to the file system; whether it died."""
    made = 0

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal made
            made += 1
            if made > step:
                if real is open_path:
                    real(*arguments, **named)  # which makes a file that is written to empty, to begin with
                raise _Killed
            return real(*arguments, **named)

        return call

    open_path = Path.open
    with patch.context() as dead:
        for name in ("replace", "fsync", "open"):
            dead.setattr(os, name, dying(getattr(os, name)))
        dead.setattr(Path, "open", dying(open_path))
        try:
            write_artifact(artifact(number), folder)
        except _Killed:
            return True
    return False


def artifact(number: float) -> Artifact:
    return Artifact(kind="agg", arrays={"a": np.full(100, number)}, facts={"number": number})


def written(folder: Path) -> float:
    """The artefact's number, the same in both files."""
    found = read_artifact(folder)
    assert set(found.arrays["a"].tolist()) == {found.facts["number"]}
    return float(found.facts["number"])


@pytest.mark.parametrize("first", range(13))
@pytest.mark.parametrize("second", [1, 4, 6, 8, 9, 11])
def test_a_kill_at_any_moment_leaves_the_old_artifact_or_the_new_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int
) -> None:
    write_artifact(artifact(0.0), tmp_path)
    killed_at(first, monkeypatch, tmp_path, 1.0)
    after_first = written(tmp_path)
    assert after_first in (0, 1)
    if not killed_at(second, monkeypatch, tmp_path, 2.0):
        assert written(tmp_path) == 2
    assert written(tmp_path) in (after_first, 2)
    write_artifact(artifact(3.0), tmp_path)
    assert written(tmp_path) == 3
    assert {file.name for file in tmp_path.iterdir() if not file.name.endswith(".tmp")} == {
        "policy.json", "policy.safetensors"
    }  # fmt: skip


def test_the_kills_reach_from_the_first_call_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = [killed_at(step, monkeypatch, tmp_path / str(step), 1.0) for step in range(13)]
    assert died[0]
    assert not died[-1]
