from dataclasses import replace
from pathlib import Path

import pytest
from tests.learn.test_advantage import made_up
from typer.testing import CliRunner

from steproute.artifacts import read_artifact
from steproute.cli import train_advantage
from steproute.cli.main import app
from steproute.core.errors import ConfigError
from steproute.policies.advantage import AdvantageFamily
from steproute.policies.stored import load_policy


def trained(folder: Path, *more: str) -> str:
    words = ["train", "--policy", "advantage", "--problems", "2", "--out", str(folder / "a"), *more]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_folder_holds_the_policy_and_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(row, observation=with_logprobs(row.observation)) for row in made_up(600, 0)]
    monkeypatch.setattr(train_advantage, "walked", lambda training, label: rows)
    output = trained(tmp_path, "--label", "rollouts", "--margin", "0.25")
    assert "600 steps, 120 of them held out" in output
    assert isinstance(load_policy(tmp_path / "a"), AdvantageFamily)
    facts = read_artifact(tmp_path / "a").facts
    assert (facts["label"], facts["margin"]) == ("rollouts", 0.25)
    assert facts["figures"]["rho"] > 0.3


def test_a_prm_whose_label_says_nothing_about_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for index, row in enumerate(made_up(600, 0)):
        advantages = {"rollouts": row.advantages["rollouts"], "prm": float(index % 7 == 0)}
        rows.append(replace(row, observation=with_logprobs(row.observation), advantages=advantages))
    monkeypatch.setattr(train_advantage, "walked", lambda training, label: rows)
    assert "hardly tells two steps of" in " ".join(trained(tmp_path, "--label", "prm").split())


def test_a_label_of_another_policy_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--policy", "advantage", "--label", "outcomes"])
    assert isinstance(result.exception, ConfigError)
    assert "rollouts, prm, checker" in str(result.exception)


def with_logprobs(observation: object) -> object:
    return replace(observation, draft=replace(observation.draft, logprobs=(-0.1, -0.2)))  # type: ignore[type-var,attr-defined]
