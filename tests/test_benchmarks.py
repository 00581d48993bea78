"""The benchmarks behind documented figures run, at toy size; what they print is what the documents quote."""

import asyncio
import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
import numpy as np
import pytest
from docs import all_methods_picture
from tests.evaluation.test_compare import compared

from steproute.artifacts import write_artifact
from steproute.core.decision import Accept, Decision
from steproute.core.observation import Observation
from steproute.evaluation.forest import comparison_svg
from steproute.lab.story import Story, generate
from steproute.learn.example_bank import bank_of_solutions, lab_sentence
from steproute.policies.mixture import BudgetCurve
from steproute.policies.steer import ConfidenceMixture, SteerFamily
from steproute.policies.stored import load_policy, mixture_artifact, steer_artifact
from steproute.policies.trim.threshold import Threshold
from steproute.retrieval.example_bank import bank_artifact

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def rows(name: str, *words: str) -> list[dict[str, object]]:
    """The JSON lines that a benchmark prints."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("axis", ["tokens", "usd"])
def test_budget_error_compares_the_fixed_mix_with_the_controller(tmp_path: Path, axis: str) -> None:
    costs = (5.0, 60.0) if axis == "tokens" else (0.00005, 0.0003)
    curve = BudgetCurve(axis=axis, knobs=(0.2, 1.0), costs=costs)  # type: ignore[arg-type]
    write_artifact(mixture_artifact(curve, sum(costs) / 2, 0.5, 1.0, "threshold", {}), tmp_path / "half")
    found = rows("budget_error", str(tmp_path / "half"), "--problems", "6", "--seeds", "2")
    streams = [(row["stream"], row["strategy"]) for row in found]
    assert streams == [(s, k) for s in ("test", "easy then hard") for k in ("stepwise", "budgeted")]
    for row in found:
        errors = row["errors"]
        assert isinstance(errors, list)
        assert len(errors) == 2
        assert all(-1 < error < 5 for error in errors), "in the budget's own unit"
        accuracy = row["accuracy"]
        assert isinstance(accuracy, float)
        assert 0 <= accuracy <= 1


def test_decisions_are_counted_by_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second of the wall clock holds fewer of them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from engine_overhead import decisions_per_second

    class Waits(Threshold):
        def decide(self, observation: Observation) -> Decision:
            time.sleep(0.01)
            return Accept()

    assert decisions_per_second(Waits(0.5), 0.001) > 2 / 0.01


@pytest.mark.training
def test_train_seeds_writes_a_policy_per_kind_and_seed_and_resumes(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3", reason="training needs the learn extra")
    words = ("--problems", "20", "--seeds", "1", "--passes", "1", "--lambdas", "1", "--out", str(tmp_path / "seeds"))
    found = rows("train_seeds", *words)
    names = ["agg-0", "agg-confidence-0", "seq-0", "agg-lam-0", "pomdp-0"]
    assert [row["policy"] for row in found] == names
    asked, computed = found[0]["asked"], found[0]["computed"]
    assert isinstance(asked, int)
    assert isinstance(computed, int)
    assert 0 < computed <= asked
    for name in names:
        assert load_policy(tmp_path / "seeds" / name).knobs
    assert rows("train_seeds", *words) == []


def test_r2_lab_goes_through_all_its_comparisons_and_repeats_nothing(tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="fitting needs the learn extra")
    sizes = ("--train", "18", "--validation", "6", "--test", "3", "--seeds", "2")
    command = [sys.executable, str(BENCHMARKS / "r2_lab.py"), str(tmp_path), *sizes]
    first, again = (subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2))
    assert first.returncode == 0, first.stderr
    for line in ("viterbi − mix | ", "online − TRIM-Thr | ", "learnt plans that are the true one: ", "saved at 85 %: "):
        assert line in again.stdout
    assert "done" in first.stdout
    assert "done" not in again.stdout


def test_few_gsm8k_solutions_state_an_answer_too_early(data_folder: Path) -> None:
    found = rows("answer_rules", "--limit", "200")
    assert [(row["solutions"], row["right"]) for row in found[:2]] == [(200, 200), (200, 200)]
    for row in found[2:]:
        assert row["stated_before_last"] <= 1  # type: ignore[operator]
        assert row["last_states"] >= 0.8 * row["last_speaks"] > 0  # type: ignore[operator]


def test_plan_against_compares_the_planners_of_two_checkouts() -> None:
    found = rows("plan_against", str(BENCHMARKS.parent), "--rounds", "2", "--points", "21", "--costs", "1")
    assert [sorted(row) for row in found[:2]] == [["here_cpu_s", "other_cpu_s", "ratio"]] * 2
    assert found[2]["equal"] is True


def test_overhead_against_measures_both_checkouts() -> None:
    found = rows("overhead_against", str(BENCHMARKS.parent), "--rounds", "1", "--problems", "2")
    assert [row["strategy"] for row in found] == ["stepwise", "pipelined", "pipelined, hedge always"]
    assert all(row["here_cpu_ms_per_step"] > 0 < row["ratio"] for row in found)  # type: ignore[operator]


def test_start_up_measures_each_start_in_a_process_of_its_own() -> None:
    found = rows("start_up", "--times", "1")
    assert [row["start"] for row in found][:2] == ["python", "import steproute"]
    assert all(isinstance(row["cpu_s"], float) and row["cpu_s"] > 0 for row in found)


def test_a_load_names_what_is_left_and_what_does_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from gateway_load import faults

    idle, busy = {"tasks": 6, "connections": 0, "sockets": 5}, {"tasks": 90, "connections": 20, "sockets": 25}
    dollars = {"window_usd": "0.5", "lines_usd": "0.50", "traces_usd": "0.500", "reserved_usd": "0E-12"}
    held = {"before": {"1": idle}, "during": {"1": busy}, "after": {"1": idle}}
    assert faults({"answered": 9}, held, dollars) == []
    left = held | {"after": {"1": idle | {"tasks": 7, "sockets": 4}}}
    assert faults({"answered": 9}, left, dollars) == ["worker 1: 1 tasks are left"]
    assert len(faults({"answered": 9}, held | {"after": {"2": idle}}, dollars)) == 1
    assert len(faults({"answered": 9, "503": 1}, held, dollars | {"traces_usd": "0.4", "reserved_usd": "1"})) == 3


def test_a_slope_is_that_of_the_second_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from gateway_load import slope

    filling = [(2.0 * at, 100 + min(at, 50) + 0.1 * at) for at in range(150)]
    assert slope(filling) == {"mib_per_minute": 3.0, "half_width": 0.0}


def test_the_lagrangian_loses_less_than_one_problem() -> None:
    for row in rows("knapsack", "--problems", "50"):
        assert 0 <= float(str(row["lost_points"])) < 2  # one problem of 50
        assert float(str(row["accuracy"])) <= float(str(row["exact_accuracy"])) + 1e-4


def test_examples_in_steps_says_what_each_query_finds(tmp_path: Path) -> None:
    problems = list(islice(generate("train"), 20))
    solved = [(problem, Story.parse(problem.text).solution()) for problem in problems]
    write_artifact(bank_artifact(bank_of_solutions(solved, lab_sentence), {}), tmp_path / "bank")
    found = rows("examples_in_steps", "retrieval", "--bank", str(tmp_path / "bank"), "--problems", "4")
    shares = {row["of"]: row["value"] for row in found if row["figure"] == "same calculation"}
    assert {"first try", "previous step", "path"} < shares.keys()
    assert all(isinstance(share, float) and 0 <= share <= 1 for share in shares.values())


def test_the_table_of_all_methods_says_who_is_ahead_by_each_kind_of_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    all_methods = pytest.importorskip("all_methods", reason="it needs the learn extra")
    seconds = {"weak": 1.0, "strong": 4.0, "one=0.5": 2.0, "two=0.5": 3.0, "three=0.5": 2.0}
    comparison = compared(0.1, seconds=seconds | dict.fromkeys(("one=1", "two=1", "three=1"), 4.0))
    head, rule, *lines = all_methods.table(json.loads(msgspec.json.encode(comparison)), {"one": "The first"})
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(head.strip("|").split("|")) == rule.count("---") == len(cells[0])
    assert [row[0] for row in cells] == ["The first", "two", "three"]
    assert cells[0][4] == "–, –, –"
    assert [value[0] for value in cells[2][4].split(", ")] == ["−", "−", "−"]
    assert [row[-1] for row in cells] == ["4.00"] * 3


def test_the_page_of_all_methods_has_a_row_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    all_methods = pytest.importorskip("all_methods", reason="it needs the learn extra")
    page = (BENCHMARKS.parent / "docs/explanation/all-methods.md").read_text()
    comparison = all_methods_picture.comparison_in(page)
    assert {row.name.removesuffix(" *") for row in comparison.rows} == {name for name, _ in all_methods.GRIDS.values()}
    assert len(comparison.pairs) == 3 * (len(comparison.rows) - 1)
    svg = comparison_svg(comparison, "")
    assert all(escape(row.name) in svg for row in comparison.rows)


def test_the_signals_of_step_routers_have_a_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    all_methods = pytest.importorskip("all_methods", reason="it needs the learn extra")
    mixture = ConfidenceMixture(
        shares=np.array([0.3, 0.7]), means=np.array([-1.0, -0.1]), deviations=np.array([0.5, 0.05])
    )
    write_artifact(steer_artifact(SteerFamily(mixture), {}), tmp_path / "steer")
    steps = asyncio.run(all_methods.weak_steps(20, 0))
    first, _, _, *lines = all_methods.signals(steps, tmp_path / "steer", 0)
    assert first.endswith("of them correct.")
    signs = {line.split("|")[1].strip(): line.split("|")[3].strip()[0] for line in lines}
    assert (signs["PRM score (TRIM, RSD)"], signs["share of sure tokens (TrigReason)"]) == ("+", "+")


def test_worlds_table_shows_each_policy_beside_a_coin_per_task() -> None:
    words = ("--problems", "16", "--points", "1", "--series", "threshold,preroute:mixing")
    command = [sys.executable, str(BENCHMARKS / "worlds_table.py"), *words]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split("|")[1].strip() for line in found.splitlines() if line.startswith("| ")]
    assert names == ["policy", "weak alone", "strong alone", "threshold 0.5", "mixing 0.5", "series", "threshold",
                     "preroute:mixing"]  # fmt: skip
