"""The reference of steproute.toml is what the settings classes say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from steproute.config import file
from steproute.core.registry import models, scorers

SCRIPT = Path(__file__).parents[1] / "docs/steproute_toml.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("steproute_toml", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_code(reference: ModuleType) -> None:
    """Run docs/steproute_toml.py after a change of settings."""
    assert reference.PAGE.read_text() == reference.Reference().page()


def test_every_table_and_backend_is_on_the_page(reference: ModuleType) -> None:
    page = reference.PAGE.read_text()
    for part in file._PARTS:
        assert f"## `[{part}" in page or f"`[{part}." in page, part
    for field in file._ROLE:
        assert f"| `{field}` |" in page, field
    assert set(reference.built_in(models)) == reference.MODELS.keys()
    assert set(reference.built_in(scorers)) == reference.SCORERS.keys()


def test_a_field_without_a_meaning_is_an_error(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {key: value for key, value in reference.MEANINGS.items() if key != "Limits.retries"}
    monkeypatch.setattr(reference, "MEANINGS", fewer)
    with pytest.raises(KeyError, match="Limits.retries"):
        reference.Reference().page()
    monkeypatch.setattr(reference, "MEANINGS", {**fewer, "Limits.retries": "", "Limits.nothing": ""})
    with pytest.raises(ValueError, match="Limits.nothing"):
        reference.Reference().page()
