"""STEER's mixture: fitted without labels, monotone, and back from its folder."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import write_artifact
from steproute.core.errors import ArtifactError, ConfigError, DatasetError
from steproute.learn.steer_fit import fit_mixture
from steproute.policies.steer import ConfidenceMixture, SteerFamily
from steproute.policies.stored import load_policy, steer_artifact

MIXTURE = ConfidenceMixture(shares=np.array([0.3, 0.7]), means=np.array([-1.0, -0.1]), deviations=np.array([0.5, 0.05]))


def test_the_fit_finds_two_known_components() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-1.0, 0.2, 300), rng.normal(-0.1, 0.05, 700)])
    fitted = fit_mixture(values.tolist(), seed=0)
    np.testing.assert_allclose(fitted.means, [-1.0, -0.1], atol=0.05)
    np.testing.assert_allclose(fitted.shares, [0.3, 0.7], atol=0.03)
    np.testing.assert_allclose(fitted.deviations, [0.2, 0.05], atol=0.03)


@given(st.lists(st.floats(-20, 0), min_size=2, max_size=2))
def test_a_surer_step_is_never_less_likely_to_be_of_the_sure_component(pair: list[float]) -> None:
    low, high = sorted(pair)
    assert MIXTURE.sure(low) <= MIXTURE.sure(high)


def test_it_comes_back_from_its_folder(tmp_path: Path) -> None:
    write_artifact(steer_artifact(SteerFamily(MIXTURE), {"seed": 1}), tmp_path / "steer")
    again = load_policy(tmp_path / "steer")
    assert isinstance(again, SteerFamily)
    assert again.mixture.sure(-0.4) == MIXTURE.sure(-0.4)
    with pytest.raises(ConfigError, match="knob"):
        again.at(2.0, 0)


def test_a_damaged_one_names_the_field(tmp_path: Path) -> None:
    broken = steer_artifact(SteerFamily(MIXTURE), {})
    broken.arrays["deviations"] = np.array([0.5, 0.0])
    write_artifact(broken, tmp_path / "steer")
    with pytest.raises(ArtifactError, match="deviations"):
        load_policy(tmp_path / "steer")


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(DatasetError, match="steps with log-probabilities: 3"):
        fit_mixture([-0.1, -0.2, -0.3], seed=0)


@pytest.mark.filterwarnings("error")
def test_components_far_apart_give_no_warning() -> None:
    apart = ConfidenceMixture(
        shares=np.array([0.5, 0.5]), means=np.array([-5.0, -0.001]), deviations=np.array([2.0, 0.001])
    )
    assert [apart.sure(value) for value in (-5.0, -0.001)] == [0.0, pytest.approx(1.0, abs=1e-3)]
