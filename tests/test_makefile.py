"""`make` takes the first Python that is new enough."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def python(folder: Path, name: str, *, version: str = "") -> None:
    """A Python of that name; with `version` one that is too old."""
    script = "exit 1" if version else f'exec {sys.executable} "$@"'
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def planned(folder: Path, *words: str) -> str:
    """What `make demo` would run with only the programs of a folder on the path."""
    command = [str(MAKE), "-n", "-C", str(ROOT), "demo", f"VENV={folder}/venv", *words]
    result = subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=True)
    return next(line for line in result.stdout.splitlines() if "-m venv" in line)


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.14", "python3"])
def test_any_python_that_is_new_enough_is_used(tmp_path: Path, name: str) -> None:
    python(tmp_path, name)
    assert planned(tmp_path).startswith(f"{name} -m venv")


def test_a_python_that_is_too_old_is_skipped(tmp_path: Path) -> None:
    python(tmp_path, "python3.12", version="too old")
    python(tmp_path, "python3.13")
    assert planned(tmp_path).startswith("python3.13 -m venv")


def test_a_python_can_be_named(tmp_path: Path) -> None:
    assert planned(tmp_path, "PYTHON=mine").startswith("mine -m venv")


def test_without_a_python_the_remedy_is_printed(tmp_path: Path) -> None:
    command = [str(MAKE), "-C", str(ROOT), "demo", f"VENV={tmp_path}/venv"]
    result = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "No Python 3.11 or newer with venv is on the path. Install one, or name it: make PYTHON=" in result.stderr
