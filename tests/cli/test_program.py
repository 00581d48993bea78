import sys
from pathlib import Path

import pytest

from steproute.cli.program import program


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program at .venv/bin/steproute that was called by that path, and is not on the search path."""
    path = tmp_path / ".venv/bin/steproute"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return path


def test_a_program_that_is_not_on_the_path_is_named_by_its_place(called: Path) -> None:
    assert program() == ".venv/bin/steproute"


def test_a_program_on_the_path_has_its_name(called: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(called.parent))
    assert program() == "steproute"


def test_another_program_of_that_name_on_the_path_is_not_this_one(called: Path, tmp_path: Path) -> None:
    other = tmp_path / "bin/steproute"
    other.parent.mkdir()
    other.write_text("#!/bin/sh")
    other.chmod(0o755)
    assert program() == ".venv/bin/steproute"
