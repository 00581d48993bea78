"""A kill while a report is written leaves the old one whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evaluation.hand_made import SUMMARY, UNREACHED

from steproute.core.errors import StorageError
from steproute.core.whole_file import write_json
from steproute.evaluation.plot import plot_pareto
from steproute.evaluation.report import write_report
from steproute.evaluation.summary import Summary

WRITERS: dict[str, Callable[[Summary, Path], None]] = {
    "summary.json": lambda summary, path: write_json(path, summary),
    "pareto.png": plot_pareto,
    "report.html": lambda summary, path: write_report(summary, [], path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_kill_while_a_report_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    path = tmp_path / name
    WRITERS[name](SUMMARY, path)
    old = path.read_bytes()
    for call in ("fsync", "replace"):
        with monkeypatch.context() as dead:
            dead.setattr(os, call, killed)
            with pytest.raises(Killed):
                WRITERS[name](UNREACHED, path)
        assert path.read_bytes() == old
    WRITERS[name](UNREACHED, path)
    assert path.read_bytes() != old


@pytest.mark.parametrize("name", WRITERS)
def test_a_report_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / name
    with pytest.raises(StorageError, match=rf"{name}: .*The same command continues"):
        WRITERS[name](SUMMARY, path)
