"""`steproute export` on real runs of the lab: the tables say what the summary says."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.cli.test_commands import steproute
from tests.evaluation.exported import read_table

from steproute import Run
from steproute.evaluation.export import Format
from steproute.evaluation.tables import TABLES, ProblemRow

COMMANDS = {
    "eval": ("eval", "--problems", "8", "--knobs", "0,0.5", "--seeds", "0,1", "--name", "run"),
    "compare": ("compare", "--policies", "threshold,automix-prm:threshold,single:mid", "--problems", "6"),
}


@pytest.fixture(scope="module", params=COMMANDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    place = tmp_path_factory.mktemp(request.param)
    steproute(place, *COMMANDS[request.param], "--json")
    (found,) = (place / "runs").iterdir()
    return found


@pytest.mark.parametrize("kind", get_args(Format))
def test_every_format_holds_the_rows_of_the_run(folder: Path, tmp_path: Path, kind: str) -> None:
    words = ("export", str(folder), "--to", kind, "--out", "tables")
    result = steproute(tmp_path, *words)
    paths = [Path("tables") / f"{table.name}.{kind}" for table in TABLES]
    assert result.stdout.split() == list(map(str, paths))
    run = Run.load(folder)
    for table, path in zip(TABLES, paths, strict=True):
        assert read_table(table, tmp_path / path) == list(getattr(run, table.name))
    again = steproute(tmp_path, *words, code=2)
    assert "exists. Overwrite it with --force" in " ".join(again.stderr.split())
    steproute(tmp_path, *words, "--force")


def rows_of(rows: list[ProblemRow], knob: float) -> list[ProblemRow]:
    return [row for row in rows if row.route == f"stepwise/threshold={knob:g}"]


def mean(rows: list[ProblemRow], column: str) -> float:
    return float(sum(Decimal(getattr(row, column)) for row in rows) / len(rows))


def test_the_problems_are_those_of_the_summary(folder: Path) -> None:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    rows, from_tree = list(Run.load(folder).problems), summary["paid_usd"] is not None
    points = [(rows_of(rows, point["knob"]), point) for point in summary["points"]]
    points += [([row for row in rows if row.route == f"single/{role}"], summary[role]) for role in ("weak", "strong")]
    for chosen, point in points:
        assert len(chosen) == summary["problems"] * len(summary["contents"]["seeds"])
        assert mean(chosen, "correct") == pytest.approx(point["accuracy"])
        for column in ("strong_tokens", "weak_tokens", "discarded_tokens", "prm_tokens", "cost_usd", "calls"):
            assert mean(chosen, column) == pytest.approx(point[column]), column
        seconds = "call_latency_s" if from_tree else "latency_s"
        if not summary["virtual_time"]:
            assert mean(chosen, seconds) == pytest.approx(point["latency_s"])
        assert all(row.knob == point["knob"] for row in chosen)


def test_the_calls_add_up_to_what_was_spent(folder: Path) -> None:
    run, summary = Run.load(folder), json.loads((folder / "summary.json").read_text())
    spent = sum((call.cost_usd for call in run.calls), Decimal(0))
    assert spent == sum((row.cost_usd for row in run.problems), Decimal(0))
    assert float(spent) == summary["spent_usd"]
    assert str(run.frame("calls").cost_usd.sum().normalize()) == str(spent.normalize())


def test_bad_input_is_named(tmp_path: Path) -> None:
    result = steproute(tmp_path, "export", "runs/none", "--to", "csv", code=2)
    assert "run: runs/none holds no run.toml" in " ".join(result.stderr.split())
    assert "'xml' is not one of" in " ".join(steproute(tmp_path, "export", ".", "--to", "xml", code=2).stderr.split())
    assert list(tmp_path.iterdir()) == []
