"""Real processes, killed in the middle: nothing finished is lost, and every finished call is on the books once."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.cli.answering import JudgingServer, served
from tests.cli.test_commands import STEPROUTE
from tests.cli.timeless import timeless

from steproute import Outcome
from steproute.engine.trace_file import read_traces

KILLABLE = [sys.executable, str(Path(__file__).with_name("killable.py")), "killable"]


def begun(runs: Path, preexec: Callable[[], object] = lambda: None, *options: str) -> "subprocess.Popen[str]":
    def prepared() -> None:
        # Whoever runs the tests in the background has them, and their children, ignore Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        preexec()

    return subprocess.Popen([*KILLABLE, str(runs), *options], stderr=subprocess.PIPE, text=True, preexec_fn=prepared)


def spent(runs: Path) -> int:
    log = runs / "log"
    return log.stat().st_size if log.exists() else 0


def signalled(runs: Path, number: int, after: int, preexec: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Send a signal once so many dollars have been spent; the exit code, and stderr."""
    process = begun(runs, preexec)
    until = spent(runs) + after
    while process.poll() is None and spent(runs) < until:
        time.sleep(0.001)
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(number)
    _, stderr = process.communicate()
    return process.returncode, stderr


def ended(runs: Path, *options: str) -> dict[str, Any]:
    process = begun(runs, lambda: None, *options)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return json.loads((runs / "run/summary.json").read_text())  # type: ignore[no-any-return]


def results(summary: dict[str, Any]) -> dict[str, Any]:
    """All but seconds, what interruptions cost, and what was there before."""
    return timeless(deepcopy(summary))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    runs = tmp_path_factory.mktemp("undisturbed")
    summary = ended(runs)
    assert summary["interrupted_usd"] == 0
    assert summary["spent_usd"] == spent(runs)
    assert not (runs / "run/traces.jsonl.zst.bills").exists()
    return summary


def test_kill_9_changes_no_result_and_bills_every_finished_call_once(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    kills = [1, 25, 60, 150, 7, 90]
    for after in kills:
        code, _ = signalled(tmp_path, signal.SIGKILL, after)
        assert code == -signal.SIGKILL
    summary = ended(tmp_path)
    lost = spent(tmp_path) - summary["spent_usd"] - summary["interrupted_usd"]
    assert 0 <= lost <= 5 * len(kills), "at most the one call that ended as the kill came, of five dollars at most"
    assert summary["interrupted_usd"] > 0
    assert results(summary) == results(undisturbed)
    again = ended(tmp_path)
    assert again["interrupted_usd"] == summary["interrupted_usd"]


def test_kill_9_while_a_run_grows_loses_nothing_and_doubles_nothing(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    small = ended(tmp_path, "--small")
    kept = read_traces(tmp_path / "run/traces.jsonl.zst")
    kills = [1, 80, 200]
    for after in kills:
        code, _ = signalled(tmp_path, signal.SIGKILL, after)
        assert code == -signal.SIGKILL
    summary = ended(tmp_path)
    traces = read_traces(tmp_path / "run/traces.jsonl.zst")
    assert traces[: len(kept)] == kept
    assert len({(each.route, each.problem_id, each.seed) for each in traces}) == len(traces), "one trace for each"
    assert len(kept) <= summary["contents"]["earlier_traces"] < len(traces)
    lost = spent(tmp_path) - summary["spent_usd"] - summary["interrupted_usd"]
    assert 0 <= lost <= 5 * len(kills)
    assert summary["interrupted_usd"] > 0 == small["interrupted_usd"]
    assert results(summary) == results(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_in_good_order(tmp_path: Path, undisturbed: dict[str, Any], number: int) -> None:
    code, stderr = signalled(tmp_path, number, 200)
    assert code == 128 + number
    assert "The same command continues where this one stopped" in stderr
    assert "Traceback" not in stderr
    cancelled = [
        trace for trace in read_traces(tmp_path / "run/traces.jsonl.zst") if trace.outcome is Outcome.CANCELLED
    ]
    assert cancelled
    assert not (tmp_path / "run/traces.jsonl.zst.bills").exists(), "their accounts are on their traces"
    summary = ended(tmp_path)
    assert summary["interrupted_usd"] == sum(trace.cost_usd for trace in cancelled)
    assert summary["spent_usd"] + summary["interrupted_usd"] == spent(tmp_path)
    assert results(summary) == results(undisturbed)


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """As `nohup` has it with SIGHUP."""
    code, _ = signalled(tmp_path, signal.SIGHUP, 50, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert code == 0
    assert results(json.loads((tmp_path / "run/summary.json").read_text())) == results(undisturbed)


@pytest.mark.parametrize("size", [0, 150, 3000, 6000, 12_000])
def test_a_full_disk_is_a_one_line_error_and_can_be_resumed(
    tmp_path: Path, undisturbed: dict[str, Any], size: int
) -> None:
    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    (tmp_path / "log").touch()
    process = begun(tmp_path, full)
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in stderr
    (line,) = (line for line in stderr.splitlines() if "rror" in line)
    assert str(tmp_path) in line
    assert "File too large" in line
    assert "The same command continues" in line
    summary = ended(tmp_path)
    assert results(summary) == results(undisturbed)


@pytest.mark.parametrize("place", ["a file", "no file system"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "run").write_text("a file")
    runs = tmp_path if place == "a file" else Path("/proc/runs")
    process = begun(runs)
    _, stderr = process.communicate()
    assert process.returncode == 1
    (line,) = (line for line in stderr.splitlines() if line.strip())
    assert line.startswith(f"error: {runs}")


def test_kill_9_while_a_judges_answer_hangs_loses_no_solution(tmp_path: Path) -> None:
    files = ("--config", "steproute.toml", "--data", "own.jsonl")
    words = ("eval", *files, "--knobs", "0", "--baselines", "", "--name", "judged", "--in-flight", "1")

    def evaluated(folder: Path, server: JudgingServer, url: str) -> "subprocess.Popen[bytes]":
        server.write_setup(folder, url)
        return subprocess.Popen([STEPROUTE, *words], cwd=folder, stdout=subprocess.DEVNULL)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed, disturbed = JudgingServer(2), JudgingServer(2)
    with served(undisturbed) as url:
        assert evaluated(whole, undisturbed, url).wait() == 0
    with served(disturbed) as url:
        disturbed.judge_hangs = True
        process = evaluated(killed, disturbed, url)
        while process.poll() is None and not disturbed.judged:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        disturbed.judge_hangs = False
        assert evaluated(killed, disturbed, url).wait() == 0
    for model in ("weak", "strong"):
        assert len(disturbed.asked_of(model)) == len(undisturbed.asked_of(model)), "no solution is paid for twice"
    expected, found = (json.loads((each / "runs/judged/summary.json").read_text()) for each in (whole, killed))
    assert found["interrupted_usd"] == 0
    assert [found[name]["accuracy"] for name in ("weak", "strong")] == [0.5, 1.0]
    assert (found["spent_usd"], found["grading_usd"]) == (expected["spent_usd"], expected["grading_usd"])
