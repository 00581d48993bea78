"""`--max-usd`, `--estimate` and the dollars that lead, run as a user runs them over a real server."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_commands import steproute
from tests.paid_servers import PaidServer, served, write_setup

from steproute.cli.calibrate import default_name
from steproute.core.solution import Outcome
from steproute.engine.trace_file import TraceFile, read_traces
from steproute.evaluation.calibrate import Goal

OWN = ("--config", "steproute.toml", "--data", "own.jsonl", "--name", "own")
SWEEP = ("eval", *OWN, "--knobs", "0,0.5", "--baselines", "")


def run(
    folder: Path, server: PaidServer, *commands: tuple[str, ...], prm_price: float = 0.05, codes: str = "0"
) -> list[subprocess.CompletedProcess[str]]:
    with served(server) as url:
        write_setup(folder, url, 12, prm_price)
        return [
            steproute(folder, *words, code=int(code))
            for words, code in zip(commands, codes * len(commands) if len(codes) == 1 else codes, strict=True)
        ]


def plain(text: str) -> str:
    return " ".join(text.split())


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs/own/summary.json").read_text())
    return found


def test_a_route_that_costs_more_and_is_slower_than_always_strong_says_so_everywhere(tmp_path: Path) -> None:
    (shown,) = run(tmp_path, PaidServer(prm_s=0.05), SWEEP, prm_price=0.8)
    reached = summary(tmp_path)["operating_points"][-1]
    more = f"It costs {100 * (reached['cost_usd'] - 1):.0f} % more than always-strong and takes "
    assert 1.01 < reached["cost_usd"] < 2
    headline = plain(shown.stdout).partition(" gap recovered ")[0]
    assert (
        "TRIM-Thr recovers 95 % of the accuracy gap between always-weak (50.0 %) and always-strong (100.0 %) for"
        in (headline)
    )
    assert more in headline
    page = plain((tmp_path / "runs/own/report.html").read_text().replace("\u00a0", " "))
    assert more in page.partition("</h1>")[0]
    strong, routed = summary(tmp_path)["strong"], summary(tmp_path)["points"][1]
    assert routed["latency_s"] > strong["latency_s"]
    assert re.search(r"knob +accuracy +gap +\$/1000 +dollars +tokens +time +seconds", shown.stdout)


def test_a_route_that_saves_dollars_has_no_such_warning(tmp_path: Path) -> None:
    (shown,) = run(tmp_path, PaidServer(), SWEEP)
    assert summary(tmp_path)["operating_points"][-1]["cost_usd"] < 1
    assert "more than always-strong" not in plain(shown.stdout)


def test_a_run_stops_at_its_limit_and_continues_with_a_higher_one(tmp_path: Path) -> None:
    low, high = ("--max-usd", "0.01"), ("--max-usd", "1")
    server = PaidServer()
    stopped, again, ended = run(tmp_path, server, (*SWEEP, *low), (*SWEEP, *low), (*SWEEP, *high), codes="330")
    for each in (stopped, again):
        assert re.search(r"max_usd: \$0\.\d+ of \$0\.01 are spent, and the next call can cost up to", each.stderr)
        assert "the same command with a higher --max-usd continues from there" in plain(each.stderr)
    assert "12 problems of own.jsonl" in ended.stdout
    traces = read_traces(tmp_path / "runs/own/traces.jsonl.zst")
    done = [(t.route, t.problem_id) for t in traces if t.outcome != "cancelled"]
    assert len(done) == len(set(done)) == 48


def test_a_comparison_pays_for_a_shared_step_once_and_says_so(tmp_path: Path) -> None:
    words = ("compare", *OWN, "--policies", "threshold,threshold+takeover", "--resamples", "200")
    (shown,) = run(tmp_path, PaidServer(), (*words, "--max-usd", "1"))
    found = summary(tmp_path)
    assert 0 < found["paid_usd"] < found["spent_usd"]
    assert f"paid ${found['paid_usd']:.4f}"[:10] in plain(shown.stdout)
    journal = (tmp_path / "runs/own/tree.jsonl.zst.paid").read_text()
    assert float(journal) == found["paid_usd"]


def test_an_estimate_counts_every_seed_and_what_was_graded_again_once(tmp_path: Path) -> None:
    words = ("eval", "--problems", "4", "--knobs", "0", "--baselines", "", "--name", "seeds")
    assert "24 of 24 solutions are missing" in steproute(tmp_path, *words, "--seeds", "0,1", "--estimate").stdout
    steproute(tmp_path, *words)
    path = tmp_path / "runs/seeds/traces.jsonl.zst"
    with TraceFile(path) as traces:
        for each in read_traces(path):
            traces.append(replace(each, grader="another"))
    shown = plain(steproute(tmp_path, *words, "--seeds", "0,1", "--estimate").stdout)
    assert "12 of 24 solutions are missing" in shown
    assert "this run's own 12 solutions" in shown


def test_an_estimate_spends_and_writes_nothing_and_holds_the_bill(tmp_path: Path) -> None:
    server = PaidServer()
    (before,) = run(tmp_path, server, (*SWEEP, "--estimate"))
    assert not server.asked
    assert not (tmp_path / "runs").exists()
    assert "--problems 5 first" in plain(before.stdout)
    few, after, whole, rest = run(
        tmp_path, server, (*SWEEP[:5], "--name", "few", *SWEEP[7:], "--problems", "6"), (*SWEEP, "--estimate"), SWEEP,
        (*SWEEP, "--estimate"),
    )  # fmt: skip
    spent = summary(tmp_path)["spent_usd"]
    low, expected, high = (float(end) for end in re.findall(r"\$([\d.]+)", plain(after.stdout))[:3])
    assert low <= expected <= high
    assert low <= spent <= high
    assert "by these models on the same data (few)" in plain(after.stdout)
    assert "Nothing is missing" in plain(rest.stdout)
    assert few.stdout
    assert whole.stdout


def test_the_estimate_after_a_stop_holds_the_rest_of_the_bill(tmp_path: Path) -> None:
    stop = ("--max-usd", "0.01", "--in-flight", "4")
    _, shown, _ = run(tmp_path, PaidServer(), (*SWEEP, *stop), (*SWEEP, "--estimate"), SWEEP, codes="300")
    traces = read_traces(tmp_path / "runs/own/traces.jsonl.zst")
    assert any(trace.outcome is Outcome.CANCELLED for trace in traces)
    counted = int(re.search(r"(\d+) of 48 solutions are missing", shown.stdout)[1])  # type: ignore[index]
    done = [trace for trace in traces if trace.outcome is not Outcome.CANCELLED]
    rest = float(sum(trace.cost_usd for trace in done[48 - counted :]))
    low, expected, high = (float(end) for end in re.findall(r"\$([\d.]+)", plain(shown.stdout))[:3])
    assert low <= rest <= high
    assert expected == pytest.approx(rest, rel=0.15)


@pytest.mark.parametrize("command", ["eval", "compare", "calibrate"])
def test_a_limit_without_prices_is_refused_with_the_remedy(tmp_path: Path, command: str) -> None:
    write_setup(tmp_path, "http://127.0.0.1:9/v1", 2, 1.0)
    text = (tmp_path / "steproute.toml").read_text().replace("price = { input = 1, output = 4 }", "")
    (tmp_path / "steproute.toml").write_text(text)
    goal = ("--budget", "0.5") if command == "calibrate" else ()
    goal = ("--policies", "threshold,random") if command == "compare" else goal
    found = plain(steproute(tmp_path, command, *OWN, *goal, "--max-usd", "1", code=2).stderr)
    assert "models.strong has no price" in found
    assert "below [models.strong]" in found
    assert not list(tmp_path.glob("runs/*/traces*"))


@pytest.mark.parametrize("price", ["", "price = { input = 0, output = 0 }"])
def test_a_budget_in_dollars_is_refused_if_the_strong_model_costs_none(tmp_path: Path, price: str) -> None:
    server = PaidServer()
    with served(server) as url:
        write_setup(tmp_path, url, 80, 0.05)
        text = (tmp_path / "steproute.toml").read_text().replace("price = { input = 1, output = 4 }", price)
        (tmp_path / "steproute.toml").write_text(text)
        found = plain(steproute(tmp_path, "calibrate", *OWN, "--budget-usd", "0.001", code=2).stderr)
    assert "budget-usd: models.strong has no price above 0" in found
    assert "below [models.strong]" in found
    assert not server.asked
    assert not (tmp_path / "runs").exists()


def test_different_goals_have_different_folders() -> None:
    goals = [Goal(0.95, kind) for kind in ("tokens", "usd", "accuracy")] + [
        Goal(0.12345678, "usd"),
        Goal(0.12345679, "usd"),
    ]
    assert len({default_name("threshold", goal) for goal in goals}) == len(goals)
    assert default_name("threshold", goals[0]) == "calibrate-threshold-tokens-0.95"


def test_a_comparison_without_a_gap_keeps_what_was_paid_and_says_why(tmp_path: Path) -> None:
    with served(PaidServer()) as url:
        write_setup(tmp_path, url, 2, 0.05)
        rows = (f'{{"problem": "What is {number}?", "answer": "{number}"}}\n' for number in (12, 14))
        (tmp_path / "own.jsonl").write_text("".join(rows))
        words = ("compare", *OWN, "--policies", "threshold,single:strong", "--resamples", "100")
        shown = plain(steproute(tmp_path, *words).stdout)
    assert "no gap to recover" in shown
    assert "APGR minus" not in shown
    assert summary(tmp_path)["paid_usd"] > 0
    found = json.loads((tmp_path / "runs/own/comparison.json").read_text())
    assert "no gap to recover" in found["note"]
    assert [row["name"] for row in found["rows"]] == ["threshold", "single:strong"]
    assert "no gap to recover" in (tmp_path / "runs/own/report.html").read_text()
    assert (tmp_path / "runs/own/pareto.png").stat().st_size > 0
