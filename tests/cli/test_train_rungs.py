"""`steproute train` with second chances among the roles: tables of rungs, and who may have them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.core.errors import ConfigError
from steproute.learn import rung_fit
from steproute.policies.stored import load_policy
from steproute.policies.trim.rung_table import RungFamily


def test_tables_of_rungs_are_trained_and_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rung_fit, "SHARES", (1.0, 20.0))
    words = ["train", "--policy", "rungs", "--roles", "weak,resample,mid,strong", "--width", "1", "--problems", "4"]
    result = CliRunner().invoke(app, [*words, "--out", "runs/rungs"])
    assert result.exit_code == 0, result.output
    assert "tables fitted" in result.output
    family = load_policy(tmp_path / "runs" / "rungs")
    assert isinstance(family, RungFamily)
    assert family.tables[0].width == 1
    solve = ["solve", "--sample", "3", "--strategy", "second-chances", "--policy", "runs/rungs", "--knob", "1"]
    result = CliRunner().invoke(app, solve)
    assert result.exit_code == 0, result.output


def test_a_rung_without_steps_to_label_is_refused(tmp_path: Path) -> None:
    words = ["train", "--policy", "pomdp", "--roles", "weak,resample,strong", "--labels", "outcomes", "--problems", "4"]
    result = CliRunner().invoke(app, [*words, "--tree", str(tmp_path / "tree")])
    assert isinstance(result.exception, ConfigError)
    assert "labels of steps" in str(result.exception)
    result = CliRunner().invoke(app, ["train", "--policy", "query-sw", "--roles", "weak,resample,strong"])
    assert isinstance(result.exception, ConfigError)
