"""Training by the verdicts of a judge that is paid, over a real server on loopback."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from tests.backends.http.arithmetic import PRM
from tests.cli.answering import JudgingServer, served
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.core.errors import BackendError, ConfigError, DatasetError, SpendingLimitReached
from steproute.core.registry import datasets
from steproute.core.trace import Trace
from steproute.engine.grade_book import GRADES, GradeBook
from steproute.engine.roles import GraderRole
from steproute.engine.trace_file import TraceFile, newest_traces
from steproute.learn import lab_fit
from steproute.policies.stored import load_policy
from steproute.policies.trim.pomdp_policy import PomdpFamily

COUNT = 12
SELF_EVALUATION = """
[scorers.prm]
backend = "self-evaluation"
base_url = "{url}"
model = "prm"
price = {{ input = 1, output = 0 }}
"""
FILES = ("--config", "steproute.toml", "--data", "own.jsonl")


@pytest.fixture(autouse=True)
def few_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning twenty costs takes seconds, four are as good here."""
    monkeypatch.setattr(lab_fit, "_SHARES", np.geomspace(3e-5, 1.5, 4))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgingServer]:
    """Serves the models, the scorer and the judge of the current folder's steproute.toml."""
    monkeypatch.chdir(tmp_path)
    judging = JudgingServer(COUNT)
    with served(judging) as url:
        judging.write_setup(tmp_path, url, PRM)
        yield judging


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def good(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return " ".join(result.stdout.split())


def refused(kind: type[Exception], message: str, *words: str) -> None:
    result = run(*words)
    assert isinstance(result.exception, kind), result.output
    assert message in str(result.exception)


def facts(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "policy.json").read_text())["facts"]
    return found


def test_a_judge_that_is_out_ends_the_training(server: JudgingServer) -> None:
    server.judge_status = 401
    message = "the grader failed: judge: status 401"
    refused(BackendError, message, "train", *FILES)
    refused(BackendError, "The same command goes on where this one stopped", "train", *FILES)
    assert not Path("runs/pomdp").exists()
    server.judge_status = 200
    solved = len(server.asked_of("weak"))
    good("train", *FILES)
    assert len(server.asked_of("weak")) == solved, "the tree answers a rerun"


def test_answers_that_the_judge_cannot_decide_are_counted(server: JudgingServer) -> None:
    server.unclear = server.problems[3:5]
    shown = good("train", *FILES)
    assert "3 answers could not be graded and count as incorrect" in shown
    assert "The first: the judge's reply says neither CORRECT nor INCORRECT: 'Who [knows]?'" in shown


def evaluated(*options: str) -> Path:
    """A run of `eval` in which the weak model's steps are all kept and scored, and the strong model's are there."""
    good("eval", *FILES, "--policy", "threshold", "--knobs", "0", "--baselines", "", "--name", "first", *options)
    return Path("runs/first")


def changed(run: Path, change: Callable[[Trace], Trace | None]) -> None:
    """Append what `change` makes of each trace, as grading again does."""
    path = run / "traces.jsonl.zst"
    with TraceFile(path) as file:
        for each in filter(None, map(change, newest_traces(path))):
            file.append(each)


def without_verdict(trace: Trace) -> Trace:
    return replace(trace, verdict=None, gold=None, grader=None)


def weak_accuracy(folder: str) -> float:
    family = load_policy(Path(folder))
    assert isinstance(family, PomdpFamily)
    return float(family.plan.model.weak_accuracy)


def test_a_fit_on_a_run_takes_its_verdicts_and_makes_no_call(server: JudgingServer) -> None:
    """Whatever grades by the file now, and if the newest verdict is on a second trace of a solution."""
    run = evaluated()
    before = len(server.asked)
    (run / GRADES).unlink()
    shown = good("train", "--run", "runs/first", "--out", "runs/plain")
    assert "12 solutions by the weak model and 12 by the strong one are used; left out: 12 of other routes" in shown
    text = Path("steproute.toml").read_text()
    Path("steproute.toml").write_text(text.replace('grader = "judge"\nmodel = "judge"', 'grader = "exact"'))
    changed(run, lambda trace: trace)
    good("train", "--run", "runs/first", "--config", "steproute.toml", "--out", "runs/own")
    assert len(server.asked) == before
    assert not (run / GRADES).exists()
    assert facts("runs/own") == facts("runs/plain")
    assert facts("runs/own")["problems"] == COUNT
    assert weak_accuracy("runs/own") == weak_accuracy("runs/plain") < 1


def test_a_fit_on_a_run_pays_for_missing_verdicts_alone_and_within_the_limit(server: JudgingServer) -> None:
    run = evaluated()
    words = ("train", "--run", "runs/first", "--config", "steproute.toml")
    changed(run, lambda trace: without_verdict(trace) if trace.problem_id.endswith((":3", ":4")) else None)
    before = len(server.judged)
    good(*words, "--out", "runs/kept")
    assert len(server.judged) == before, "the run's grades hold these verdicts"
    (run / GRADES).unlink()
    shown = good(*words, "--estimate")
    assert re.search(r"At most 4 calls, [\d,]+ tokens read, 4,096 written and \$0\.\d+\.", shown)
    refused(ConfigError, "Give the steproute.toml that it was made with", "train", "--run", "runs/first")
    refused(SpendingLimitReached, "the next call can cost up to", *words, "--max-usd", "0.0001")
    server.judge_status = 401
    refused(BackendError, "the grader failed", *words)
    server.judge_status, failed = 200, len(server.judged)
    for _ in range(2):
        good(*words, "--out", "runs/paid")
    asked = server.judged[failed:]
    assert len(asked) == 3, "of four solutions, two have the same answer"
    assert facts("runs/paid") == facts("runs/kept")
    with GradeBook(GraderRole(role="judge"), run / GRADES) as book:
        paid = sum(10 * each.prompt_tokens + 20 * each.generated for each in asked)
        assert book.spent_usd == Decimal(paid) / 1_000_000


def test_an_estimate_of_any_training_calls_and_writes_nothing(server: JudgingServer) -> None:
    steps = [{"problem": f"p{n}", "steps": ["one", "two", "three"], "label": -1} for n in range(5)]
    Path("labelled.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in steps))
    evaluated()
    calls, files = len(server.asked), set(Path().rglob("*"))
    labelled = ("train", "--config", "steproute.toml", "--data", "labelled.jsonl", "--estimate")
    found = re.search(r"At most 5 calls, ([\d,]+) tokens read, 0 written and \$(0\.\d+)\.", good(*labelled))
    assert found
    tokens = int(found[1].replace(",", ""))
    assert float(found[2]) == pytest.approx(tokens / 1_000_000, rel=0.01)
    text = Path("steproute.toml").read_text()
    own = PRM.format(url=server.url)
    Path("steproute.toml").write_text(text.replace(own, SELF_EVALUATION.format(url=server.url)))
    assert "At most 15 calls" in good(*labelled), "one call for each step"
    Path("steproute.toml").write_text(text)
    assert good("train", "--run", "runs/first", "--estimate") == "Nothing is called."
    assert good("train", "--data", "trim-world", "--estimate") == "Nothing is called."
    assert "What the judge of the answers is paid comes on top" in good("train", *FILES, "--estimate")
    assert (len(server.asked), set(Path().rglob("*"))) == (calls, files)


def test_missing_verdicts_use_the_runs_own_settings(server: JudgingServer) -> None:
    """More problems than the data set gives by default, named by fields that only the command line names."""
    rows = ({"q": text, "gold": str(2 * number), "key": f"k{number}"} for number, text in enumerate(server.problems))
    Path("own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    named = ("--question-field", "q", "--answer-field", "gold", "--id-field", "key")
    changed(evaluated(*named, "--grader", "numeric"), without_verdict)
    refused(DatasetError, "Name the one that holds the question", "train", "--run", "runs/first")
    good("train", "--run", "runs/first", *named)
    assert not server.judged
    assert facts("runs/pomdp")["problems"] == COUNT
    assert weak_accuracy("runs/pomdp") < 1
    lines = Path("own.jsonl").read_text().replace('"gold": "22"', '"gold": "23"')
    Path("own.jsonl").write_text(lines)
    shown = good("train", "--run", "runs/first", *named)
    assert "11 solutions by the weak model and 11 by the strong one are used" in shown
    assert "2 without a verdict, whose problems are no longer in the data as they were" in shown


def test_a_lab_run_has_as_many_problems_as_it_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.get("lab"), "default_count", 10)
    words = ("--policy", "threshold", "--knobs", "0", "--baselines", "", "--name", "lab")
    good("eval", "--data", "lab", "--problems", "30", *words)
    changed(Path("runs/lab"), without_verdict)
    good("train", "--run", "runs/lab")
    assert facts("runs/pomdp")["problems"] == 30


def demo_summary() -> dict[str, Any]:
    (path,) = Path("runs").glob("demo-*/summary.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_demo_pays_a_judge_once_and_has_it_on_the_books(server: JudgingServer) -> None:
    words = ("demo", *FILES, "--problems", "4")
    assert "✓" in good(*words)
    bodies = [json.dumps(each.body, sort_keys=True) for each in server.judged]
    assert len(bodies) == len(set(bodies)) == 6, "one for each problem and answer"
    paid = sum(10 * each.prompt_tokens + 20 * each.generated for each in server.judged) / 1_000_000
    assert demo_summary()["grading_usd"] == pytest.approx(paid, rel=1e-12)
    good(*words)
    assert len(server.judged) == 6


def test_the_demo_leaves_marks_out_while_the_judge_is_out(server: JudgingServer) -> None:
    server.judge_status = 401
    shown = run("demo", *FILES, "--problems", "4").output
    assert "answer 0 · answered" in shown
    assert "✓ ·" not in shown
    assert "✗ (correct" not in shown
