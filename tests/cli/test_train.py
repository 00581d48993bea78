"""`steproute train --policy pomdp`: which belief the folder holds, and how far its costs reach."""

import json
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from steproute.cli import train_task
from steproute.cli.main import app
from steproute.cli.train import train
from steproute.cli.training import Training, training_problems
from steproute.core.errors import ConfigError, DatasetError
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.boundary import BoundaryFamily
from steproute.policies.stored import load_policy
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import PomdpFamily


def scored(folder: Path) -> Path:
    """Solutions of four steps, half of them wrong from the second or third one on."""
    rng = np.random.default_rng(0)
    path = folder / "scored.jsonl"
    with path.open("w") as file:
        for index in range(40):
            label = (-1, 1, -1, 2)[index % 4]
            means = [0.9 if label < 0 or step < label else 0.2 for step in range(4)]
            scores = np.clip(rng.normal(means, 0.1), 0, 1).tolist()
            row = {"problem": f"P{index}", "steps": list("abcd"), "label": label, "scores": scores}
            file.write(json.dumps(row) + "\n")
    return path


def words(folder: Path, *more: str) -> list[str]:
    return ["train", "--policy", "pomdp", "--data", str(scored(folder)), "--out", str(folder / "p"), *more]


def test_the_belief_is_chosen_in_training_and_no_grid_ends_a_curve(tmp_path: Path) -> None:
    """The cheapest cost of TRIM-POMDP is next to nothing, and random routing can be always-strong."""
    result = CliRunner().invoke(app, words(tmp_path, "--belief", "posterior"))
    assert result.exit_code == 0, result.output
    family = load_policy(tmp_path / "p")
    assert isinstance(family, PomdpFamily)
    assert family.belief == "posterior"
    assert signature(train).parameters["belief"].default == "filter"
    model = family.plan.model
    costs = family.plan.costs
    assert costs.min() * model.step_tokens / model.task_reward == pytest.approx(3e-5)
    assert costs.max() * model.step_tokens > model.task_reward
    assert max(RandomRouting.knobs) == 1.0


@pytest.mark.parametrize("data", ["lab:train", "trim-world:train"])
def test_the_belief_can_be_chosen_for_every_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    model = StepPomdp(
        weak_accuracy=0.8,
        rewriters=(Rewriter("strong", 0.95),),
        hazard=np.array([0.0, 1.0]),
        observations=np.full((3, 2, 2), 0.25),
    )

    monkeypatch.setattr(train_task, "fit_on_lab_labels", lambda *_: model)
    monkeypatch.setattr(train_task, "embedded_reference", lambda: model)
    asked = ["train", "--policy", "pomdp", "--data", data, "--problems", "1", "--out", str(tmp_path / "p")]
    for belief in ("posterior", "filter"):
        assert CliRunner().invoke(app, [*asked, "--belief", belief]).exit_code == 0
        family = load_policy(tmp_path / "p")
        assert isinstance(family, PomdpFamily)
        assert family.belief == belief


def test_the_roles_are_fitted_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def fit(training: Training, _: str) -> StepPomdp:
        asked.append(tuple(training.rewriters))
        return StepPomdp(
            weak_accuracy=0.8,
            rewriters=(Rewriter("mid", 0.9, 0.25), Rewriter("strong", 0.95)),
            hazard=np.array([0.0, 1.0]),
            observations=np.full((3, 2, 2), 0.25),
        )

    monkeypatch.setattr(train_task, "fit_on_lab_labels", fit)
    given = ["train", "--problems", "1", "--roles", "weak, mid,strong", "--out", str(tmp_path / "p")]
    result = CliRunner().invoke(app, given)
    assert "mid 0.9000 at 25% strong 0.9500 at 100%" in " ".join(result.output.split())
    assert asked == [("mid", "strong")]
    family = load_policy(tmp_path / "p")
    assert isinstance(family, PomdpFamily)
    assert [rewriter.name for rewriter in family.plan.model.rewriters] == ["mid", "strong"]
    shown = CliRunner().invoke(app, ["plan", "--reference", str(tmp_path / "p"), "--cost", "0.25", "--json"])
    assert [row["role"] for row in json.loads(shown.output)["advantages"]] == ["mid", "strong"] * 6
    assert signature(train).parameters["roles"].default == "weak,strong"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--roles", "weak"), "roles: 'weak' is not weak and then other roles"),
        (("--roles", "mid,strong"), "roles: 'mid,strong' is not weak and then"),
        (("--roles", "weak,mid,mid"), "roles: 'weak,mid,mid' is not weak and then"),
        (("--roles", "weak,big"), "role: 'big' has no model"),
        (("--roles", "weak,big,strong", "--policy", "agg"), "role: 'big' has no model"),
        (("--roles", "strong", "--policy", "seq"), "roles: 'strong' is not weak and then"),
        (("--roles", "weak,mid,strong", "--data", "trim-world:train", "--policy", "agg"), "role: 'mid' has no model"),
        (("--roles", "weak,mid", "--policy", "query-sw"), "roles: other roles than weak and strong need"),
        (("--roles", "weak,mid", "--run", "runs/first"), "roles: other roles than weak and strong need"),
    ],
)
def test_roles_that_cannot_be_trained_are_rejected(more: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["train", *more])
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_a_chooser_is_trained_without_the_extra_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "sklearn", "scipy", "gymnasium", "stable_baselines3"):
        monkeypatch.setitem(sys.modules, package, None)
    given = ["train", "--policy", "boundary", "--problems", "2", "--passes", "1", "--tree", str(tmp_path / "tree")]
    result = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "b")])
    assert result.exit_code == 0, result.output
    assert isinstance(load_policy(tmp_path / "b"), BoundaryFamily)


def test_an_unknown_belief_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, words(tmp_path, "--belief", "hope"))
    assert isinstance(result.exception, ConfigError)
    assert "belief: 'hope' is unknown. Use one of filter, posterior" in str(result.exception)
    assert not (tmp_path / "p").exists()


def test_a_file_whose_name_begins_with_lab_is_read_whole_and_is_not_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab_own.jsonl"
    path.write_text("".join(f'{{"problem": "What is {number}?", "answer": "1"}}\n' for number in range(2001)))
    monkeypatch.chdir(tmp_path)
    assert len(training_problems(path.name, None, 0)) == 2001
    for more in ((), ("--labels", "steps")):
        result = CliRunner().invoke(app, ["train", "--policy", "pomdp", "--data", path.name, *more])
        assert isinstance(result.exception, ConfigError)
        assert "'lab_own.jsonl' cannot be solved by the embedded models" in str(result.exception)


def test_tasks_of_a_world_need_no_gold_answers(tmp_path: Path) -> None:
    command = ["train", "--policy", "boundary", "--data", "house:train", "--problems", "3", "--passes", "1"]
    result = CliRunner().invoke(app, [*command, "--tree", str(tmp_path / "tree"), "--out", str(tmp_path / "p")])
    assert result.exit_code == 0, result.output
    assert isinstance(load_policy(tmp_path / "p"), BoundaryFamily)
    with pytest.raises(DatasetError, match="no gold answer"):
        training_problems("house:train", 2, 0)
