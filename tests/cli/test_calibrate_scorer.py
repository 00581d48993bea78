"""`steproute calibrate-scorer`: what it measures, on which half, and when it writes a map."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.config import lab_roles
from steproute.engine.step_tree import StepTree
from steproute.evaluation.calibrate import halves
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.reliability import brier_score, expected_calibration_error
from steproute.learn.rollouts import solve_all
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.calibration_file import load_score_map
from steproute.strategies.stepwise import Stepwise

pytest.importorskip("sklearn")

Row = dict[str, Any]


def run(folder: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["calibrate-scorer", "--out", str(folder / "map"), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def figures(folder: Path, rows: list[Row], method: str = "isotonic") -> dict[str, Any]:
    path = folder / "steps.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: dict[str, Any] = json.loads(run(folder, "--data", str(path), "--method", method, "--json"))
    return found


def overconfident(seed: int, count: int = 2000) -> list[Row]:
    """Scores whose true chance lies half way to 0.5, four candidates for each place."""
    rng = np.random.default_rng(seed)
    scores = rng.random(count).round(4)
    right = rng.random(count) < 0.25 + scores / 2
    return [
        {"group": f"p{n // 8}", "prefix": n // 4, "score": float(score), "right": bool(label)}
        for n, (score, label) in enumerate(zip(scores, right, strict=True))
    ]


@pytest.mark.parametrize("method", ["isotonic", "temperature"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_figures_are_of_the_half_that_the_fit_has_not_seen(tmp_path: Path, method: str, seed: int) -> None:
    rows = overconfident(seed)
    found = figures(tmp_path, rows, method)
    fitting, measuring = halves([row["group"] for row in rows])
    scores = np.array([row["score"] for row in rows])[measuring]
    labels = np.array([row["right"] for row in rows])[measuring]
    mapped = load_score_map(tmp_path / "map")(scores)
    assert (found["fitted_on"], found["measured_on"]) == (len(fitting), len(measuring))
    assert found["before"]["ece"] == pytest.approx(expected_calibration_error(scores, labels))
    assert found["after"]["ece"] == pytest.approx(expected_calibration_error(mapped, labels))
    assert found["after"]["brier"] == pytest.approx(brier_score(mapped, labels))
    assert found["map"] == method
    assert found["after"]["ece"] < found["before"]["ece"]


@pytest.mark.parametrize("method", ["isotonic", "temperature"])
@pytest.mark.parametrize("seed", range(3))
def test_a_map_that_makes_scores_worse_is_not_written(tmp_path: Path, method: str, seed: int) -> None:
    """Calibrated scores of the half that measures, reversed ones of the half that fits."""
    rng = np.random.default_rng(seed + 100)
    rows = overconfident(seed, 800)
    fitting, _ = halves([row["group"] for row in rows])
    for index, row in enumerate(rows):
        chance = 1 - row["score"] if index in fitting else row["score"]
        row["right"] = bool(rng.random() < chance)
    found = figures(tmp_path, rows, method)
    assert found["map"] == "none"
    assert found["after"]["brier"] > found["before"]["brier"]
    scores = np.linspace(0.01, 0.99, 50)
    assert np.allclose(load_score_map(tmp_path / "map")(scores), scores)
    shown = run(tmp_path, "--data", str(tmp_path / "steps.jsonl"), "--method", method)
    assert "makes these scores worse, so none is written" in shown


@pytest.mark.parametrize(("skill", "sentence"), [(0.0, "cannot choose"), (0.9, "can choose")])
def test_the_within_prefix_auc_is_printed_beside_the_step_auc(tmp_path: Path, skill: float, sentence: str) -> None:
    """A scorer may know which prefixes are hard and not which of their candidates is correct."""
    rng = np.random.default_rng(0)
    rows = []
    for place in range(300):
        hard = rng.random()
        for _ in range(4):
            right = bool(rng.random() > hard)
            score = (1 - skill) * (1 - hard) + skill * right
            rows.append({"group": f"p{place // 3}", "prefix": place, "score": score, "right": right})
    before = figures(tmp_path, rows)["before"]
    assert before["auc"] > 0.8
    within, (low, high) = before["within_prefix_auc"], before["within_prefix_auc_ci95"].values()
    assert within == pytest.approx(1.0 if skill else 0.5)
    assert low <= within <= high
    shown = " ".join(run(tmp_path, "--data", str(tmp_path / "steps.jsonl")).split())
    assert f"{sentence} among candidates of one step" in shown


def test_without_a_choice_the_figure_is_left_out(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "prefix"} for row in overconfident(0)]
    before = figures(tmp_path, rows)["before"]
    assert before["within_prefix_auc"] is None
    assert before["within_prefix_auc_ci95"] is None
    assert "no prefix holds both" in run(tmp_path, "--data", str(tmp_path / "steps.jsonl"))


def test_lab_candidates_come_from_the_models_or_from_a_tree(tmp_path: Path) -> None:
    with StepTree(tmp_path / "tree", 2**32) as tree:
        problems = load_problems("lab:validation", 30, 0)
        for threshold in (0.3, 1.0):
            asyncio.run(solve_all(problems, tree.roles(lab_roles()), Stepwise(policy=Threshold(threshold)), 0))
    words = ("--problems", "30", "--method", "temperature", "--json")
    sampled = json.loads(run(tmp_path, *words))
    taken = json.loads(run(tmp_path, *words, "--tree", str(tmp_path / "tree")))
    assert sampled["before"]["ece"] == taken["before"]["ece"], "the steps are the same"
    assert sampled["candidates"] > 100
    assert 0 < taken["candidates"] != sampled["candidates"]
    assert 0 <= sampled["before"]["within_prefix_auc"] <= 1


def test_a_tree_is_of_no_use_for_steps_that_are_scored(tmp_path: Path) -> None:
    steps = tmp_path / "steps.jsonl"
    row = {"problem": "2 + 3?", "steps": ["It is 5."], "label": -1}
    steps.write_text(json.dumps(row))
    words = ["calibrate-scorer", "--data", str(steps), "--tree", str(tmp_path / "tree")]
    result = CliRunner().invoke(app, words)
    assert f"has no labels for {steps}" in str(result.exception)
    assert not (tmp_path / "tree").exists()
