"""The example package has the rights of built-in parts, and a broken package affects nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.plugin_packages import publish, publish_project, steproute

EXAMPLE = Path(__file__).parents[1] / "examples/plugin"

BROKEN = """
from dataclasses import dataclass

from steproute.core.ports import ModelCapabilities
from steproute_example.model import SteadyModel


@dataclass(frozen=True)
class Mute(SteadyModel):
    capabilities = ModelCapabilities(logprobs=False)

    async def propose(self, prefix, n=1, sampling=None, meter=None):
        drafts = await super().propose(prefix, n, sampling, meter)
        return [type(draft)(**{**fields(draft), "logprobs": (), "first_token_entropy": None}) for draft in drafts]


def fields(draft):
    return {name: getattr(draft, name) for name in draft.__dataclass_fields__}


class Sync:
    name = "sync"

    def score(self, prefix, meter=None):
        return None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the example package is installed, with its steproute.toml."""
    shutil.copytree(EXAMPLE / "steproute_example", tmp_path / "steproute_example")
    for name in ("steproute.toml", "rooms.toml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    publish_project(tmp_path, (EXAMPLE / "pyproject.toml").read_text())
    return tmp_path


@pytest.fixture
def broken(folder: Path) -> Path:
    """The same beside a package with a missing part, one that does not fit, and a model without log-probabilities."""
    (folder / "broken_parts.py").write_text(BROKEN)
    groups = {
        "steproute.policies": {"lost": "no_such_module:Policy", "threshold": "steproute_example.policy:LowestSoFar"},
        "steproute.scorers": {"sync": "broken_parts:Sync"},
        "steproute.models": {"mute": "broken_parts:Mute"},
    }
    publish(folder, "broken-package", groups)
    return folder


def doctor(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    result = steproute(folder, "doctor", "--json")
    assert result.stdout, result.stderr
    findings = json.loads(result.stdout)
    return {(each["backend"], each["seen" if each["check"] == "plugin" else "check"]): each for each in findings}


def test_every_file_of_the_example_is_short() -> None:
    for path in (EXAMPLE / "steproute_example").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name


def test_a_policy_of_a_package_is_compared_with_a_built_in_one(folder: Path) -> None:
    result = steproute(folder, "compare", "--policies", "threshold,lowest-so-far", "--problems", "8")
    assert result.returncode == 0, result.stderr
    assert "lowest-so-far" in result.stdout


def test_parts_of_a_package_solve_a_problem(folder: Path) -> None:
    result = steproute(folder, "solve", "--sample", "3", "--config", "steproute.toml", "--json")
    assert result.returncode == 0, result.stderr
    trace = json.loads(result.stdout)
    assert trace["route"] == "second-try(tries=2)/lowest-so-far=0.5"


def test_a_world_of_a_package_is_evaluated_compared_and_shown(folder: Path) -> None:
    data = ("--config", "rooms.toml", "--data", "rooms", "--problems", "12", "--json")
    result = steproute(folder, "eval", *data, "--knobs", "0,0.5,1", "--name", "sweep")
    assert result.returncode == 0, result.stderr
    points = json.loads(result.stdout)
    assert steproute(folder, "compare", *data, "--policies", "threshold,random", "--name", "both").returncode == 0
    for run in ("sweep", "both"):
        page = (folder / f"runs/{run}/report.html").read_text()
        assert "You are in room" in page
        assert "judged by its rewards" in page
    assert points["problems"] == 12


def test_doctor_examines_parts_of_a_package_as_built_in_ones(folder: Path) -> None:
    findings = doctor(folder)
    assert {each["severity"] for each in findings.values()} == {"ok"}
    assert findings["route", "roles"]["seen"] == "second-try, lowest-so-far"
    assert "from log-probabilities" in findings["scorers.prm", "one score per step"]["seen"]
    assert findings["models.strong", "continues a half-written answer"]["seen"] == "(2) Zoe has 45."
    assert ("steproute-example", "scorers.worst-token") in findings


def test_doctor_misses_log_probabilities_that_a_scorer_of_a_package_reads(broken: Path) -> None:
    config = broken / "steproute.toml"
    config.write_text(config.read_text().replace('backend = "steady"', 'backend = "mute"'))
    finding = doctor(broken)["models.strong", "log-probabilities"]
    assert finding["severity"] == "failed"
    assert "scorers.prm reads them" in finding["remedy"]
    result = steproute(broken, "solve", "--sample", "3", "--config", "steproute.toml")
    assert "'prm' reads log-probabilities, and the model 'strong' gives none" in " ".join(result.stderr.split())


def test_a_broken_package_is_reported_and_affects_nothing_else(broken: Path) -> None:
    assert steproute(broken, "--help").returncode == 0
    findings = {seen: each for (package, seen), each in doctor(broken).items() if package == "broken-package"}
    assert {each["severity"] for seen, each in findings.items() if seen != "models.mute"} == {"warning"}
    said = "\n".join(f"{seen} {each['remedy']}" for seen, each in findings.items())
    assert "broken-package: policies.lost: no_such_module:Policy cannot be imported" in said
    assert "broken-package: scorers.sync: Sync.score is not async. Write async def score(self, prefix, meter)." in said
    assert "broken-package: policies.threshold: the name 'threshold' is that of a built-in part." in said


def test_a_broken_part_that_is_used_is_an_error_with_a_remedy(broken: Path) -> None:
    result = steproute(broken, "solve", "--sample", "3", "--policy", "lost")
    assert result.returncode != 0
    assert "Correct or update broken-package, or uninstall it." in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
