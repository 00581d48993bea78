"""Route tables from the command line: train, add, explain, plan and eval, on the lab."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("sklearn", reason="fitting needs the learn extra")

from steproute.cli.main import app
from steproute.core.errors import ConfigError
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.knapsack import exact
from steproute.policies.route_table_file import read_table

RUN = CliRunner()


def command(*words: str) -> Result:
    result = RUN.invoke(app, list(words))
    assert result.exception is None, (result.output, result.exception)
    return result


def refused(*words: str) -> str:
    result = RUN.invoke(app, list(words))
    assert isinstance(result.exception, ConfigError)
    return str(result.exception)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with weak alone, strong alone and one threshold, and a second run with another one."""
    folder = tmp_path_factory.mktemp("routes")
    for name, knob in (("first", "0.3"), ("second", "0.6")):
        words = ("--policy", "threshold", "--knobs", knob, "--data", "lab:train", "--problems", "30", "--baselines", "")
        command("eval", *words, "--name", name, "--runs", str(folder))
    command("train", "--policy", "routes", "--runs", str(folder / "first"), "--out", str(folder / "table"))
    return folder


def test_a_table_is_trained_grows_and_explains_itself(folder: Path) -> None:
    table = folder / "table"
    before = contents(table)
    result = command("train", "--policy", "routes", "--add", str(folder / "second"), "--out", str(table))
    assert "threshold=0.6" in result.output
    assert "single/weak" not in result.output
    after = contents(table)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert "lacks" in refused("train", "--policy", "routes", "--add", str(folder / "second"), "--out", str(table))

    found = json.loads(command("explain", "--policy", str(table), "--knob", "1", "--sample", "3", "--json").output)
    rows = found["routes"]
    assert {row["route"] for row in rows} >= {"single/weak", "single/strong", "stepwise/threshold=0.6"}
    assert rows[0]["chosen"]
    assert rows[0]["right"] == max(row["right"] for row in rows)
    assert "single/weak" in command("explain", "--policy", str(table), "A question?").output

    common = ("plan", "--reference", str(table), "--data", "lab:test", "--problems", "20")
    document = json.loads(command(*common, "--budget", "0.004usd", "--json").output)
    assert document["usd"] <= 0.004
    assert len(document["problems"]) == 20
    assert "best single route within the budget" in command(*common, "--budget", "1usd").output
    assert "Give at least" in refused(*common, "--budget", "0.000001usd")
    assert "no budget" in refused(*common, "--budget", "lots")


def test_a_joint_table_solves_and_is_not_added_to(folder: Path) -> None:
    words = ("--runs", str(folder / "first"), "--predictor", "joint", "--out", str(folder / "joint"))
    command("train", "--policy", "routes", *words)
    error = refused("train", "--policy", "routes", "--add", str(folder / "second"), "--out", str(folder / "joint"))
    assert "one network" in error
    words = ("--policy", str(folder / "joint"), "--knob", "0.9", "--sample", "1", "--json")
    trace = json.loads(command("solve", "--strategy", "routed", *words).stdout)
    assert trace["notes"][0].startswith("route ")
    assert trace["route"].startswith("routed/")


@pytest.mark.parametrize(
    "words",
    [("--policy", "routes"), ("--policy", "pomdp", "--runs", "a"), ("--policy", "routes", "--runs", "a", "--add", "b")],
)
def test_options_that_do_not_fit_together_are_refused(words: tuple[str, ...]) -> None:
    assert "--policy routes --runs" in refused("train", *words)


LAB = files("steproute.cli").joinpath("templates", "lab.toml").read_text()
WAYS = """
[models.weak-greedy]
backend = "lab"
name = "lab-weak"
sampling = { temperature = 0 }
price = { input = "0.05", output = "0.20" }
[models.weak-short]
backend = "lab"
name = "lab-weak"
sampling = { max_tokens = 64 }
price = { input = "0.05", output = "0.20" }
"""


def test_ways_of_decoding_are_routes_that_share_one_budget(tmp_path: Path) -> None:
    """Greedy, shorter, four votes and the best of four, each step: the plan is within one problem of the optimum."""
    (tmp_path / "steproute.toml").write_text(LAB + WAYS)
    common = ("--config", str(tmp_path / "steproute.toml"), "--policy", "threshold", "--knobs", "0")
    for name, words in {
        "alone": ("--baselines", "single:weak-greedy,single:weak-short"),
        "vote": ("--baselines", "", "--strategy", "vote", "--set", "samples=4"),
        "best": ("--baselines", "", "--strategy", "best-of-n", "--set", "width=4"),
    }.items():
        data = ("--data", "lab:train", "--problems", "24", "--name", name, "--runs", str(tmp_path))
        command("eval", *common, *words, *data)
    runs = ",".join(str(tmp_path / name) for name in ("alone", "vote", "best"))
    command("train", "--policy", "routes", "--runs", runs, "--out", str(tmp_path / "table"))

    table = read_table(tmp_path / "table").table
    alone = {f"single/{role}" for role in ("weak", "weak-greedy", "weak-short", "strong")}
    ways = {"stepwise/threshold=0", "vote(samples=4)/threshold=0", "best-of-n(width=4)/threshold=0"}
    assert set(table.routes) == alone | ways
    problems = load_problems("lab:test", 30, 0)
    forecast = table.forecast([problem.text for problem in problems])
    budget = 0.4 * float(forecast.usd[:, forecast.routes.index("single/strong")].sum())
    words = ("--reference", str(tmp_path / "table"), "--data", "lab:test", "--problems", "30", "--json")
    plan = json.loads(command("plan", *words, "--budget", f"{budget}usd").output)
    units = np.ceil(forecast.usd / budget * 20_000).astype(np.int64)
    best = exact(forecast.right, units, 20_000)
    assert plan["usd"] <= budget
    assert best.right - 1 < 30 * plan["right"]
    assert {each["route"] for each in plan["problems"]} <= set(table.routes)
    assert len({each["route"] for each in plan["problems"]}) > 1
