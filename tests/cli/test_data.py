import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.test_download import ORIGINAL
from typer.testing import CliRunner, Result

from steproute.cli import data
from steproute.cli.main import app
from steproute.core.errors import ConfigError
from steproute.evaluation.datasets.sources import SOURCES


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GSM8K of three problems, and an empty data folder."""
    monkeypatch.setattr(data, "SOURCES", {"gsm8k": replace(SOURCES["gsm8k"], rows=3, sha256="")})
    monkeypatch.setenv("STEPROUTE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "original.jsonl").write_bytes(ORIGINAL)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", *words], catch_exceptions=False)


def test_get_writes_into_the_data_folder_and_list_knows_it(tmp_path: Path) -> None:
    original = str(tmp_path / "original.jsonl")
    assert '"path": null' in run("list", "--json").stdout
    result = run("get", "gsm8k", "--from", original)
    target = tmp_path / "data/gsm8k/test.jsonl.gz"
    assert result.stdout.strip() == str(target)
    assert "3 problems, checked by the number of rows" in result.stderr
    row = next(row for row in json.loads(run("list", "--json").stdout) if row["name"] == "gsm8k")
    assert row["path"] == str(target)
    assert run("list").exit_code == 0


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere/gsm8k/test.jsonl.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    words = ("get", "all", "--folder", str(tmp_path / "elsewhere"), "--from", str(tmp_path / "original.jsonl"))
    assert "is there already; --force replaces it" in run(*words).stderr
    assert target.read_bytes() == b"mine"
    run(*words, "--force")
    assert target.read_bytes() != b"mine"


def test_a_name_without_a_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="no source of 'aime' is known. Use some of gsm8k"):
        run("get", "aime")
