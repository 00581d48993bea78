"""The commands in TRIM's world, run as a user runs them."""

import copy
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.cli.timeless import timeless

COMMAND = (sys.executable, "-c", "from steproute.cli.main import main; main()")


def steproute(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    nowhere = {**os.environ, "STEPROUTE_DATA": str(folder / "no-data")}
    return subprocess.run([*COMMAND, *words], cwd=folder, env=nowhere, capture_output=True, text=True, check=False)


def evaluated(folder: Path, *words: str) -> dict[str, Any]:
    result = steproute(folder, "eval", "--problems", "20", "--knobs", "0,0.5,1", "--json", *words)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_eval_prints_predictions_beside_what_was_published_without_the_data_folder(tmp_path: Path) -> None:
    first = evaluated(tmp_path, "--data", "trim-world", "--baselines", "random,oracle", "--name", "one")
    assert all(f"{name}_ci95" in first["metrics"] for name in ("cpt50", "cpt80", "cpt95"))
    assert [curve["name"] for curve in first["published"]] == ["TRIM-Thr", "TRIM-POMDP"]
    assert first["published"][0]["metrics"]["cpt95"] == pytest.approx(0.442, abs=1e-4)
    assert {p.name for p in (tmp_path / "runs/one").iterdir()} >= {"report.html", "pareto.png"}

    again = evaluated(tmp_path, "--data", "trim-world", "--baselines", "random,oracle", "--name", "one")
    assert timeless(again) == timeless(copy.deepcopy(first))
    assert first["weak"]["accuracy"] < first["strong"]["accuracy"]


def test_assumptions_change_the_run_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    words = ("eval", "--problems", "5", "--knobs", "0.5", "--name", "one", "--data")
    assert steproute(tmp_path, *words, "trim-world:test/spread").returncode == 0
    other = steproute(tmp_path, *words, "trim-world:test/anchored")
    assert other.returncode == 2
    assert "data" in other.stderr
    unknown = steproute(tmp_path, *words, "trim-world:test/magic")
    assert unknown.returncode == 2
    assert "no assumption 'magic'. Use published, anchored, spread" in " ".join(unknown.stderr.split())


@pytest.mark.training
@pytest.mark.skipif(find_spec("stable_baselines3") is None, reason="training needs the learn extra")
def test_agg_is_trained_and_evaluated_in_this_world(tmp_path: Path) -> None:
    words = ("--policy", "agg", "--data", "trim-world:train", "--problems", "20", "--passes", "1", "--out", "runs/agg")
    trained = steproute(tmp_path, "train", *words)
    assert trained.returncode == 0, trained.stderr
    result = steproute(tmp_path, "eval", "--data", "trim-world", "--problems", "5", "--policy", "runs/agg", "--json")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["points"]) == 16
