"""The files that contributors read name targets, versions and hooks that exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
READ_BY_CONTRIBUTORS = (
    "README.md",
    "CONTRIBUTING.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    ".github/workflows/ci.yml",
    ".pre-commit-config.yaml",
)


@pytest.mark.parametrize("name", READ_BY_CONTRIBUTORS)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|run: |^)make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE))
    assert named <= targets


def test_the_workflow_tries_every_python_that_the_classifiers_name() -> None:
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    for matrix in re.findall(r"python: \[(.*)\]", WORKFLOW):
        assert set(classified) <= set(re.findall(r"3\.\d+", matrix))
    assert f">={min(classified, key=lambda version: int(version[2:]))}" == PROJECT["requires-python"]


def test_the_citation_has_the_version_of_the_package() -> None:
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
