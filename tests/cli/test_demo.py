import sys
from io import StringIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from steproute.artifacts import write_artifact
from steproute.cli import demo
from steproute.cli.main import app
from steproute.config import lab_roles, route
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.summary import Summary
from steproute.policies.stored import AGG, network_artifact
from steproute.policies.trim.agg import AggNetwork
from steproute.policies.trim.learned import LearnedFamily


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demo of few problems, in a terminal of 80 characters."""
    monkeypatch.setattr(demo, "_PROBLEMS", 8)
    monkeypatch.setattr(demo, "_KNOBS", (0.0, 0.5, 1.0))
    monkeypatch.setattr(demo, "_BASELINES", ("single:mid", "oracle"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [".venv/bin/steproute"])
    monkeypatch.chdir(tmp_path)


def ship_a_policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "blocks.0.weight": rng.normal(size=(4, 6)),
        **{f"blocks.0.{name}": rng.normal(size=4) for name in ("bias", "gain", "shift")},
        "logits.weight": rng.normal(size=(2, 4)),
        "logits.bias": np.zeros(2),
    }
    family = LearnedFamily(AggNetwork(weights), 1e-4, 1e-2)
    write_artifact(network_artifact(AGG, family, {}), folder)
    monkeypatch.setattr(route, "_shipped_folder", lambda name: folder if name == "lab-agg" else folder / "none")


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["demo", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("small")
def test_the_demo_shows_the_gain_and_what_to_try_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ship_a_policy(tmp_path / "agg", monkeypatch)
    found = run()
    lines = found.splitlines()
    assert max(map(cell_len, lines)) <= 80
    result = found.partition("3 of 3")[2]
    assert result.index("TRIM-Thr ") < result.index("TRIM-Agg ") < result.index("gap recovered")
    assert [line.split()[1] for line in lines[-3:]] == ["solve", "eval", "init"]
    assert all(line.split()[0].endswith("steproute") for line in lines[-3:])
    summary = msgspec.json.decode((tmp_path / "runs/demo-0/summary.json").read_bytes(), type=Summary)
    assert [series.name for series in summary.baselines] == ["lab-agg", "single:mid", "oracle"]
    assert [len(series.operating_points) for series in summary.baselines] == [3, 3, 3]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_problem_of_the_demo_is_a_rescue(seed: int) -> None:
    """The weak model fails, the PRM sees the incorrect step, and the strong model repairs it."""
    console = Console(width=80, file=StringIO())
    demo._show_one(console, load_problems("lab:test", 60, seed), lab_roles(), seed)
    assert isinstance(console.file, StringIO)
    found = console.file.getvalue()
    assert max(map(cell_len, found.splitlines())) <= 80
    kept, repaired = found.partition("Threshold 0 keeps")[2].partition("Threshold 0.5")[::2]
    repaired, _, strong = repaired.partition("The strong model alone")
    assert "✗ (correct is" in kept
    assert "regenerate: the strong model writes this step again" in repaired
    rejected = [line for line in repaired.splitlines() if line.split()[:2] == ["✗", "weak"]]
    assert rejected
    assert all(float(line.split()[2]) < 0.5 for line in rejected)
    for part in (repaired, strong):
        assert "✓ · answered · $" in part
        assert "strong $0.000" in part
        assert " tokens read, " in part
    assert "The repaired solution costs " in strong


@pytest.mark.usefixtures("small")
def test_without_a_shipped_policy_the_demo_shows_trim_thr_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(route, "_shipped_folder", lambda name: tmp_path / "none")
    found = run("--runs", "elsewhere", "--seed", "1")
    assert "TRIM-Agg" not in found
    assert (tmp_path / "elsewhere/demo-1/report.html").exists()


@pytest.mark.usefixtures("small")
def test_a_second_demo_resumes_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(route, "_shipped_folder", lambda name: tmp_path / "none")
    first = run()
    traces = (tmp_path / "runs/demo-0/traces.jsonl.zst").read_bytes()
    again = run()
    assert (tmp_path / "runs/demo-0/traces.jsonl.zst").read_bytes() == traces
    shown, again_shown = (text.partition("made of")[0] for text in (first, again))
    assert shown == again_shown
    assert "0 solved now" in again
