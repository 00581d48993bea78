"""Every template of `steproute init` is read as the product reads it, down to each table's settings."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from steproute.cli.init import TEMPLATES
from steproute.cli.main import app
from steproute.config import ConfigFile, read_config
from steproute.core.errors import ConfigError
from steproute.models import llama_cpp

ROLES = {
    "lab": ("weak", "strong", "prm"),
    "vllm": ("weak", "strong", "prm"),
    "openai": ("weak", "strong", "prm"),
    "anthropic": ("weak", "strong", "prm"),
    "llama.cpp": ("weak", "strong"),
}


def test_every_template_is_told_of_here() -> None:
    assert tuple(ROLES) == TEMPLATES


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A template's name and the file that `init` makes of it, with its keys set and any model's file at hand."""
    path = tmp_path / "steproute.toml"
    result = CliRunner().invoke(app, ["init", "--template", request.param, "--out", str(path)])
    assert result.exit_code == 0, result.output
    for variable in re.findall(r'^api_key_env = "(.*)"$', path.read_text(), re.MULTILINE):
        monkeypatch.setenv(variable, "sk-of-a-test")
    monkeypatch.setattr(llama_cpp, "Gguf", _loaded)
    return request.param, path


def _loaded(path: str, *, n_ctx: int, threads: int, gpu_layers: int, sessions: int) -> SimpleNamespace:
    return SimpleNamespace(template=object())


def build(path: Path) -> ConfigFile:
    config = read_config(path)
    config.cast()
    config.route.strategy_at(0)
    return config


def test_a_template_is_a_configuration(template: tuple[str, Path]) -> None:
    name, path = template
    tables = build(path).tables
    assert (*tables["models"], *tables["scorers"]) == ROLES[name]
    assert all("price" in table for part in tables.values() for table in part.values())


def test_a_field_that_nobody_knows_is_refused_in_every_table_of_a_template(template: tuple[str, Path]) -> None:
    _, path = template
    text = path.read_text()
    headers = re.findall(r"^\[.+\]$", text, re.MULTILINE)
    assert len(headers) >= 3
    for header in headers:
        path.write_text(text.replace(header, f"{header}\ncolour = 3"))
        with pytest.raises(ConfigError, match="colour"):
            build(path)
