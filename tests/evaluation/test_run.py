import sys
from pathlib import Path

import pytest
from tests.engine.test_trace_file import fell_back, trace

import steproute
from steproute import Outcome, Run
from steproute.core.errors import ConfigError, DatasetError
from steproute.engine.run_folder import Selection, claim_folder
from steproute.engine.trace_file import TraceFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two problems, one of them tried twice."""
    claim_folder(tmp_path, {"name": "small"}, Selection(routes=("r",), seeds=(0,), problems=()), begun=False)
    with TraceFile(tmp_path / "traces.jsonl.zst") as traces:
        for each in (trace("a", Outcome.FAILED, "1"), trace("b", usd="0.1"), trace("a", usd="0.000000000000000002")):
            traces.append(each)
    return tmp_path


def test_a_run_gives_its_rows_as_often_as_they_are_asked_for(folder: Path) -> None:
    run = Run.load(str(folder))
    assert (run.name, run.config["holds"]["routes"]) == ("small", ["r"])
    for _ in range(2):
        assert [(row.problem_id, row.outcome) for row in run.problems] == [("b", "answered"), ("a", "answered")]
        assert len(list(run.steps)) == len(list(run.calls)) == 2


def test_a_run_that_grows_stays_as_it_was_loaded(folder: Path) -> None:
    run = Run.load(folder)
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        traces.append(trace("c"))
    assert [row.problem_id for row in run.problems] == ["b", "a"]
    assert [row.problem_id for row in Run.load(folder).problems] == ["b", "a", "c"]


def test_an_interrupted_attempt_does_not_replace_one_that_ended(folder: Path) -> None:
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        for each in (fell_back("c", "1"), trace("c", Outcome.CANCELLED), trace("d", Outcome.CANCELLED)):
            traces.append(each)
    found = {row.problem_id: (row.outcome, row.fallback_roles) for row in Run.load(folder).problems}
    assert found == {
        "b": ("answered", None),
        "a": ("answered", None),
        "c": ("answered", "strong"),
        "d": ("cancelled", None),
    }


def test_a_frame_keeps_every_digit_of_a_dollar_and_what_is_missing(folder: Path) -> None:
    run = Run.load(folder)
    frame = run.frame("problems")
    assert str(frame.cost_usd.sum()) == "0.100000000000000002"
    assert frame.correct.isna().all()
    assert run.arrow("calls").num_rows == 2
    with pytest.raises(ConfigError, match="table: 'tokens' is unknown"):
        run.frame("tokens")


@pytest.mark.parametrize("package", ["pandas", "pyarrow"])
def test_a_frame_without_its_packages_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}: is not installed\. Run: pip install 'steproute\[data\]'"):
        Run.load(folder).frame("steps")


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no run\.toml"):
        Run.load(tmp_path)
    claim_folder(tmp_path, {}, Selection(routes=(), seeds=(), problems=()), begun=False)
    with pytest.raises(DatasetError, match=r"traces\.jsonl\.zst does not exist"):
        Run.load(tmp_path)


def test_run_is_the_only_name_that_is_loaded_late() -> None:
    assert steproute.Run is Run
    with pytest.raises(AttributeError, match="no attribute 'Runs'"):
        _ = steproute.Runs  # type: ignore[attr-defined]
