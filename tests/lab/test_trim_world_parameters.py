from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from docs import trim_world_table
from docs.trim_world_parameters import PARAMETERS, Lengths, bisect, document, maximum

from steproute.learn.pomdp_reference import embedded_reference, load_reference


def flat(value: Any, where: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, each in pairs for key, leaf in flat(each, f"{where}/{name}").items()}
    return {where: value}


def test_the_shipped_file_is_what_the_data_folder_makes(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(data_folder))
    shipped, made = flat(msgspec.json.decode(PARAMETERS.read_bytes())), flat(document())
    assert shipped.keys() == made.keys()
    assert {key: made[key] for key in shipped if isinstance(shipped[key], str)} == {"/source": shipped["/source"]}
    numbers = [key for key in shipped if not isinstance(shipped[key], str)]
    assert [made[key] for key in numbers] == pytest.approx([shipped[key] for key in numbers], rel=2e-3, abs=1e-12)


def test_the_embedded_model_is_the_authors(data_folder: Path) -> None:
    here, there = embedded_reference(), load_reference(data_folder / "trim_reference")
    for name in ("weak_accuracy", "rewriters", "step_tokens", "task_reward"):
        assert getattr(here, name) == getattr(there, name)
    assert here.hazard == pytest.approx(there.hazard, rel=1e-8)
    assert here.observations == pytest.approx(there.observations, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("accuracy", [0.2, 0.364, 0.73, 0.9])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_a_fitted_logit_gives_the_accuracy_that_was_asked_for(accuracy: float, spread: float) -> None:
    """Checked by simulation, which knows nothing of the quadrature."""
    lengths = Lengths.of([0.0, 0.0, 0.1, 0.3, 0.5, 1.0])
    rng, count = np.random.default_rng(0), 100_000
    steps = rng.choice(6, count, p=lengths.shares)
    logit = lengths.logit(accuracy, spread) - spread * rng.standard_normal(count)
    right = rng.random(count) < (1 / (1 + np.exp(-logit))) ** steps
    assert abs(right.mean() - accuracy) < 4 * np.sqrt(0.25 / count)


def test_the_searches_find_what_is_known() -> None:
    assert bisect(lambda x: x**3 - 8, 0, 10) == pytest.approx(2)
    assert maximum(lambda x: -((x - 1.7) ** 2), 0, 10) == pytest.approx(1.7, abs=1e-6)


def test_the_table_of_the_explanation_is_what_its_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    trim_world_table.main()
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 8
    page = (PARAMETERS.parents[4] / "docs/explanation/trim-world.md").read_text()
    assert "\n".join(rows) in page
