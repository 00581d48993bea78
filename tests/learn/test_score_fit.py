import numpy as np
import pytest

pytest.importorskip("sklearn", reason="fitting needs the learn extra")

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.evaluation.reliability import brier_score, expected_calibration_error
from steproute.learn.score_fit import fit_isotonic, fit_temperature
from steproute.scorers.calibrated import Temperature


def overconfident(seed: int, count: int = 20_000) -> tuple[F64, F64]:
    """Scores whose logits are three times too large and shifted by one."""
    rng = np.random.default_rng(seed)
    true = rng.beta(1.2, 0.8, count).clip(1e-4, 1 - 1e-4)
    logits = 3 * np.log(true / (1 - true)) + 1
    return 1 / (1 + np.exp(-logits)), (rng.random(count) < true).astype(float)


def test_a_known_distortion_is_undone() -> None:
    fitted = fit_temperature(*overconfident(0))
    assert fitted.temperature == pytest.approx(3, rel=0.05)
    assert fitted.shift == pytest.approx(-1 / 3, abs=0.05)


@pytest.mark.parametrize("fit", [fit_temperature, fit_isotonic])
def test_calibration_holds_on_steps_that_the_fit_has_not_seen(fit) -> None:  # type: ignore[no-untyped-def]
    scores, labels = overconfident(1)
    mapped = fit(*overconfident(0))(scores)
    assert expected_calibration_error(scores, labels) > 0.08
    assert expected_calibration_error(mapped, labels) < 0.015
    assert brier_score(mapped, labels) < brier_score(scores, labels)


def test_a_map_of_scores_that_hold_already_is_the_identity() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    fitted = fit_temperature(scores, (rng.random(20_000) < scores).astype(float))
    assert fitted(np.array([0.1, 0.5, 0.9])) == pytest.approx(Temperature(1.0)(np.array([0.1, 0.5, 0.9])), abs=0.02)


def test_too_few_wrong_steps_are_refused() -> None:
    with pytest.raises(DatasetError, match="95 right and 5 wrong"):
        fit_isotonic(np.linspace(0, 1, 100), (np.arange(100) >= 5).astype(float))
