"""The commands, run as a user runs them, on the real lab models."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from tests.cli.timeless import timeless

from steproute.artifacts import write_artifact
from steproute.cli.main import main
from steproute.config.route import read_route
from steproute.engine.trace_file import read_traces
from steproute.evaluation.formatting import dollars
from steproute.policies.mixture import BudgetCurve
from steproute.policies.stored import mixture_artifact

STEPROUTE = str(Path(sys.executable).with_name("steproute"))
SWEEP = ("eval", "--problems", "8", "--knobs", "0,0.5,1", "--baselines", "oracle")


def steproute(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([STEPROUTE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result


def summary(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, Any] = json.loads((folder / "runs" / name / "summary.json").read_text())
    return timeless(found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("solve", "--sample", "1", "--strategy", "magic"), "strategies: 'magic' is unknown. Use one of"),
        (("solve", "--sample", "1", "--policy", "magic"), "policies: 'magic' is unknown. Use one of"),
        (("solve", "--sample", "1", "--knob", "1.5"), "threshold: 1.5 is outside [0, 1]"),
        (("solve", "--sample", "-1"), "sample: -1 is below 0"),
        (("solve", ""), "is empty"),
        (("solve", "What is 2 + 2?", "--sample", "1"), "both 'What is 2 + 2?' and --sample 1 are given"),
        (("solve", "--sample", "1", "--set", "takeover_steps=2"), "since no takeover comes from"),
        (("eval", "--set", "takeover_steps=2"), "since no takeover comes from threshold, random"),
        (
            ("solve", "--sample", "1", "--strategy", "query"),
            "policy: the strategy query decides before there is a step",
        ),
        (("init", "--out", "nodir/a.toml"), "out: nodir/a.toml cannot be written (No such file or directory)"),
        (("init", "--force", "--out", "."), "out: . cannot be written (Is a directory)"),
        (("solve",), "problem: none given"),
        (("solve", "What is 2 + 2?"), "lab problem: no numbered sentences"),
        (("solve", "What is 2 + 2?"), "Without --config the bundled lab solves the problem."),
        (("solve", "What is 2 + 2?"), "init --template vllm"),
        (("solve", "(1) Ben has 3000 coins. How many coins does Ben have now?"), "brings in 3000"),
        (("solve", "--sample", "1", "--max-cost-usd", "-1"), "max_cost_usd: -1.0 is not a budget"),
        (("solve", "--sample", "1", "--max-tokens", "-5"), "max_tokens: -5 is not a budget"),
        (("eval", "--strategy", "magic"), "strategies: 'magic' is unknown"),
        (("eval", "--strategy", "single"), "'single' takes no policy"),
        (("eval", "--knobs", "0,1.5"), "threshold: 1.5 is outside [0, 1]"),
        (("eval", "--knobs", "0,x"), "knobs: '0,x' is not a list of numbers"),
        (("eval", "--knobs", "0,0"), "repeat a value"),
        (("eval", "--seeds", "0,x"), "seeds: '0,x' is no list of whole numbers. Write 0,1,2 or 0-4."),
        (("eval", "--seeds", "3-1"), "seeds: '3-1' is no list of whole numbers"),
        (("compare", "--seeds", "0-2,1"), "seeds: 0, 1, 2, 1 repeat a value"),
        (("eval", "--data", "none.jsonl"), "none.jsonl does not exist"),
        (("eval", "--data", "blank.jsonl"), "data: blank.jsonl holds no problem. Give each line"),
        (("eval", "--data", "blank.jsonl", "--estimate"), "data: blank.jsonl holds no problem"),
        (("eval", "--data", "[red].jsonl"), "[red].jsonl does not exist"),
        (("eval", "--data", "bad.jsonl"), "bad.jsonl, line 2: not JSON"),
        (("eval", "--data", "empty.jsonl"), "empty.jsonl, line 1: problem is ' '"),
        (("eval", "--problems", "0"), "problems: 0 is below 1"),
        (("eval", "--max-tokens", "-1"), "max_tokens: -1 is not a budget"),
        (("eval", "--in-flight", "0"), "in_flight: 0 is below 1"),
        (("eval", "--max-usd", "-1"), "max_usd: -1.0 is not a limit"),
        (("metrics", "none.json"), "none.json"),
        (("replay", "gpt9"), "'gpt9' is unknown"),
        (("lab", "sample", "--split", "dev"), "'dev' is unknown"),
        (("lab", "check", "--problems", "0"), "problems: 0 is below 1"),
        (("plan", "--reference", ".", "--cost", "1"), "holds no obs_distribution"),
        (("train", "--policy", "tarot"), "policy: 'tarot' has nothing to train"),
        (("train", "--data", "math500"), "data: 'math500' cannot be solved by the embedded models"),
        (("eval", "--policy", "./none"), "none/policy.json does not exist"),
        (("calibrate",), "give one of them"),
        (("calibrate", "--budget", "1.5"), "budget: 1.5 is outside (0, 1]"),
        (("replay", "qwen3", "--strategy", "stepwise"), "'stepwise' needs steps that nobody recorded"),
        (("calibrate", "--budget-usd", "0"), "budget-usd: 0 is no budget"),
        (("calibrate", "--budget-usd", "1", "--budget", "0.2"), "give one of them"),
        (("eval", "--strategy", "budgeted", "--problems", "2"), "budgeted needs a calibrated policy"),
        (("compare", "--policies", "threshold,threshold"), "names none, or one of them twice"),
        (("calibrate", "--target", "cheap"), "target: 'cheap' is no share"),
        (("frobnicate",), "No such command"),
        (("eval", "--name", "../../x"), "name: '../../x' is no plain name"),
        (("eval", "--name", ""), "name: '' is no plain name"),
        (("eval", "--name", "[/]"), "name: '[/]' is no plain name"),
        (("compare", "--name", ".."), "name: '..' is no plain name"),
        (("calibrate", "--budget", "0.4", "--name", "a/b"), "name: 'a/b' is no plain name"),
    ],
)
def test_bad_input_is_named_and_ends_with_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"problem": "a", "answer": "1"}\n{"problem": \n')
    (tmp_path / "empty.jsonl").write_text('{"problem": " "}\n')
    (tmp_path / "blank.jsonl").write_text("\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [STEPROUTE, *words])
    with pytest.raises(SystemExit) as ended:
        main()
    stderr = capfd.readouterr().err
    assert ended.value.code == 2, stderr
    assert message in " ".join(stderr.split())
    assert "Traceback" not in stderr
    assert not (tmp_path / "runs").exists()


def test_solve_prints_the_trace_as_json_and_the_live_view_beside_it(tmp_path: Path) -> None:
    result = steproute(tmp_path, "solve", "--sample", "2", "--knob", "0.9", "--json")
    trace = json.loads(result.stdout)
    assert trace["outcome"] == "answered"
    assert {line["purpose"] for line in trace["account"]} >= {"accepted", "score"}
    assert all(step["text"] in " ".join(result.stderr.split()) for step in trace["steps"])


def test_eval_prints_its_summary_and_leaves_its_files(tmp_path: Path) -> None:
    found = json.loads(steproute(tmp_path, *SWEEP, "--name", "a", "--json").stdout)
    folder = tmp_path / "runs/a"
    assert json.loads((folder / "summary.json").read_text()) == found
    assert {file.name for file in folder.iterdir()} == {
        "run.toml", "traces.jsonl.zst", "summary.json", "report.html", "pareto.png"
    }  # fmt: skip
    assert [point["knob"] for point in found["points"]] == [0, 0.5, 1]
    fields = "knob accuracy strong_tokens strong_share weak_tokens discarded_tokens prm_tokens cost_usd latency_s"
    assert all(set(fields.split()) <= set(point) for point in found["points"])
    for metric in ("cpt50", "cpt80", "cpt95", "apgr", "delta_ibc"):
        assert {metric, f"{metric}_ci95"} <= set(found["metrics"])
    assert found["points"][0]["strong_tokens"] == 0
    scored = json.loads(steproute(tmp_path, "metrics", "runs/a/summary.json", "--json").stdout)
    assert scored == {name: pytest.approx(found["metrics"][name]) for name in scored}


def test_baselines_are_read_without_blanks_and_solved_once(tmp_path: Path) -> None:
    words = ("--problems", "2", "--knobs", "0.5", "--baselines", " random, single:strong,random, ")
    found = json.loads(steproute(tmp_path, "eval", *words, "--name", "twice", "--json").stdout)
    assert [each["name"] for each in found["baselines"]] == ["random", "single:strong"]
    traces = read_traces(tmp_path / "runs/twice/traces.jsonl.zst")
    cells = {(trace.route, trace.problem_id) for trace in traces}
    assert len(cells) == len(traces)
    assert found["spent_usd"] == float(sum(trace.cost_usd for trace in traces))


def test_the_points_add_up_from_the_traces(tmp_path: Path) -> None:
    found = json.loads(steproute(tmp_path, *SWEEP, "--name", "a", "--json").stdout)
    traces = read_traces(tmp_path / "runs/a/traces.jsonl.zst")
    assert len(traces) == 8 * 6
    assert found["spent_usd"] == pytest.approx(float(sum(trace.cost_usd for trace in traces)))
    for point in found["points"]:
        mine = [trace for trace in traces if trace.route == f"stepwise/threshold={point['knob']:g}"]
        assert point["strong_tokens"] * 8 == pytest.approx(sum(trace.generated_tokens("strong") for trace in mine))
        assert point["cost_usd"] * 8 == pytest.approx(float(sum(trace.cost_usd for trace in mine)))


def test_killed_in_the_middle_and_rerun_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    steproute(tmp_path, *SWEEP, "--name", "whole")
    torn = tmp_path / "runs/torn/traces.jsonl.zst"
    process = subprocess.Popen(
        [STEPROUTE, *SWEEP, "--name", "torn", "--in-flight", "4"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (not torn.exists() or len(read_traces(torn)) < 12):
        time.sleep(0.005)
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [(trace.route, trace.problem_id) for trace in read_traces(torn)]
    with torn.open("ab") as file:
        file.write(zstd.compress(os.urandom(200))[:90])
    steproute(tmp_path, *SWEEP, "--name", "torn")
    after = [(trace.route, trace.problem_id) for trace in read_traces(torn)]
    assert 12 <= len(kept) < 48
    assert after[: len(kept)] == kept
    assert len(set(after)) == len(after) == 48
    assert summary(tmp_path, "torn") == summary(tmp_path, "whole")


def test_a_run_can_be_resumed_after_ctrl_c(tmp_path: Path) -> None:
    traces = tmp_path / "runs/c/traces.jsonl.zst"
    command = [STEPROUTE, "eval", "--problems", "200", "--knobs", "0.5", "--baselines", "", "--name", "c"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has them, and their children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and (not traces.exists() or len(read_traces(traces)) < 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "continues where this one stopped" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "runs/c/summary.json").exists()
    assert len(read_traces(traces)) >= 5


def test_a_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    words = ("eval", "--problems", "3", "--knobs", "0.5", "--baselines", "", "--name", "a")
    steproute(tmp_path, *words)
    result = steproute(tmp_path, *words, "--max-steps", "9", code=2)
    assert "limits.max_steps was 30 and is now 9" in " ".join(result.stderr.split())


def test_init_says_how_to_go_on_with_what_it_wrote(tmp_path: Path) -> None:
    said = steproute(tmp_path, "init", "--out", "conf[dev].toml").stdout
    assert "wrote conf[dev].toml;" in said
    assert "steproute eval --config 'conf[dev].toml' --data lab --problems 50" in said
    assert "gsm8k" not in said
    doctor, solve, evaluate = (shlex.split(line)[1:] for line in said.splitlines()[1:])
    steproute(tmp_path, *doctor)
    steproute(tmp_path, *solve)
    steproute(tmp_path, *evaluate, "--problems", "2", "--knobs", "0.5")
    assert "--data gsm8k" in steproute(tmp_path, "init", "--template", "vllm").stdout


def test_lab_check_has_its_stable_names(tmp_path: Path) -> None:
    figures = json.loads(steproute(tmp_path, "lab", "check", "--problems", "6", "--json").stdout)
    for name in (
        "weak_step_accuracy", "strong_step_accuracy", "weak_answer_accuracy", "strong_answer_accuracy", "prm_auc"
    ):  # fmt: skip
        low, high = figures[f"{name}_ci95"]
        assert 0 <= low <= figures[name] <= high <= 1


def test_the_published_curves_are_scored_from_the_command_line(tmp_path: Path, data_folder: Path) -> None:
    path = str(data_folder / "trim_reference/published_curves.json")
    words = ("metrics", path, "--curve", "trim_thr_math500_qwen2.5-1.5b_7b", "--json")
    assert json.loads(steproute(tmp_path, *words).stdout)["cpt50"] == pytest.approx(0.1971, abs=1e-4)


def test_replay_equals_the_recording(tmp_path: Path, data_folder: Path) -> None:
    environment = {**os.environ, "STEPROUTE_DATA": str(data_folder)}
    words = [STEPROUTE, "replay", "llama", "--knobs", "0.5", "--json"]
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    # One weak and two strong answers of 400 are graded differently from the recording: see test_recordings.py.
    assert (found["weak"]["accuracy"], found["strong"]["accuracy"]) == (0.215 - 1 / 400, 0.4425 + 2 / 400)


def test_plan_prints_the_advantage_of_each_stage_and_belief(tmp_path: Path, data_folder: Path) -> None:
    (tmp_path / "beliefs.json").write_text("[[0.5, 0.2, 0.3], [1, 0, 0], [0, 1, 0]]")
    folder = str(data_folder / "trim_reference")
    words = ("plan", "--reference", folder, "--cost", "0.25", "--beliefs", "beliefs.json", "--stages", "0,5", "--json")
    found = json.loads(steproute(tmp_path, *words).stdout)
    assert found["cost"] == 0.25
    assert found["gap"] < 0.05
    assert found["seconds"] > 0
    assert [(row["stage"], row["belief"][0]) for row in found["advantages"]] == [
        (0, 0.5), (0, 1.0), (0, 0.0), (5, 0.5), (5, 1.0), (5, 0.0)
    ]  # fmt: skip
    doubtful, sound, derailed = found["advantages"][:3]
    assert doubtful["advantage"] > 0 > sound["advantage"]
    assert derailed["advantage"] == pytest.approx(0, abs=found["gap"])
    (tmp_path / "beliefs.json").write_text("[[0.5, 0.2, 0.4]]")
    message = " ".join(steproute(tmp_path, *words, code=2).stderr.split())
    assert "row 0 of beliefs.json, [0.5, 0.2, 0.4], is not a probability distribution" in message
    assert (
        "stages: 30 is outside 0 … 29"
        in steproute(tmp_path, "plan", "--reference", folder, "--cost", "1", "--stages", "30", code=2).stderr
    )


def test_a_trained_pomdp_can_be_evaluated(tmp_path: Path) -> None:
    steproute(tmp_path, "train", "--policy", "pomdp", "--problems", "40", "--out", "runs/p")
    found = json.loads(
        steproute(tmp_path, "eval", "--problems", "6", "--policy", "runs/p", "--baselines", "", "--json").stdout
    )
    assert found["policy"] == "runs/p"
    assert [point["knob"] for point in found["points"]] == list(range(1, 21))
    assert found["points"][0]["strong_tokens"] < found["points"][-1]["strong_tokens"]


TRAIN_AGG = ("train", "--policy", "agg", "--problems", "12", "--passes", "1", "--tree", "runs/tree")
HAS_PPO = find_spec("stable_baselines3") is not None


@pytest.mark.skipif(HAS_PPO, reason="the learn extra is there")
def test_agg_says_what_its_training_needs(tmp_path: Path) -> None:
    assert "pip install 'steproute[learn]'" in steproute(tmp_path, *TRAIN_AGG, code=2).stderr


@pytest.mark.training
@pytest.mark.skipif(not HAS_PPO, reason="training needs the learn extra")
def test_agg_is_trained_and_run_as_a_policy(tmp_path: Path) -> None:
    for lam, message in (("-1", "lam: -1 is no cost"), ("0.01", "")):
        result = steproute(tmp_path, *TRAIN_AGG, "--lam", lam, code=2 if message else 0)
        assert message in result.stderr
    (knob,) = json.loads(
        steproute(tmp_path, "eval", "--problems", "4", "--policy", "runs/agg", "--name", "agg", "--json").stdout
    )["points"]
    assert knob["knob"] == 0.01


def test_calibrate_writes_a_policy_that_eval_runs(tmp_path: Path) -> None:
    words = ("calibrate", "--knobs", "0,0.5,1", "--budget", "0.4", "--name", "b40")
    refused = steproute(tmp_path, *words, "--problems", "12", code=2)
    assert "problems are left to measure on; at least 30 are needed" in refused.stderr
    assert not (tmp_path / "runs/b40").exists(), "refused before a model is asked"
    result = steproute(tmp_path, *words[:-1], "b40-more", "--problems", "72")
    assert "of always-strong's" in result.stdout
    facts = json.loads((tmp_path / "runs/b40-more/policy.json").read_text())["facts"]
    assert facts["measured"]["problems"] + facts["fitted_on"] == 72
    assert set(facts["mix"]) == {"low", "high", "share"}
    for axis, spent in facts["measured"]["spent"].items():
        unit = f"{spent['mean']:.1f} strong tokens" if axis == "tokens" else dollars(spent["mean"])
        assert f"{unit} per problem, {spent['share']:.1%} of always-strong's [" in result.stdout
    assert set(facts["measured"]["spent"]) == {"tokens", "usd"}
    solved = json.loads(steproute(tmp_path, "solve", "--sample", "3", "--policy", "runs/b40-more", "--json").stdout)
    assert solved["route"] == "stepwise/runs/b40-more=0.4"
    route = read_route("route", {"policy": str(tmp_path / "runs/b40-more")})
    assert route.knob == 0.4
    words = ("eval", "--problems", "16", "--policy", "runs/b40-more", "--baselines", "", "--name", "run", "--json")
    (point,) = json.loads(steproute(tmp_path, *words).stdout)["points"]
    assert 0.2 < point["strong_share"] < 0.6


def test_compare_puts_strategies_into_one_table_and_a_kill_changes_nothing(tmp_path: Path) -> None:
    words = (
        "compare",
        "--policies",
        "threshold@0/0.5/0.9,automix-prm:threshold@0.5/0.9,single:mid,oracle",
        "--problems",
        "8",
        "--json",
    )
    found = json.loads(steproute(tmp_path, *words, "--name", "whole").stdout)
    names = ["threshold", "automix-prm:threshold", "single:mid", "oracle"]
    assert [row["name"] for row in found["rows"]] == names
    assert {frozenset((pair["first"], pair["second"])) for pair in found["pairs"]} == {
        frozenset(pair) for pair in combinations(names, 2)
    }
    assert (tmp_path / "runs/whole/pareto.png").exists()
    traces = tmp_path / "runs/killed/traces.jsonl.zst"
    process = subprocess.Popen(
        [STEPROUTE, *words, "--name", "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (not traces.exists() or len(read_traces(traces)) < 20):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    kept, whole = read_traces(traces), read_traces(tmp_path / "runs/whole/traces.jsonl.zst")
    assert 20 <= len(kept) < len(whole)
    again = json.loads(steproute(tmp_path, *words, "--name", "killed").stdout)
    assert again | {"name": "whole"} == found
    ended = read_traces(traces)
    assert ended[: len(kept)] == kept
    assert len(ended) == len(whole), "nothing is solved again"
    assert summary(tmp_path, "killed") == summary(tmp_path, "whole")


def test_compare_takes_strategies_with_settings_folders_and_knobs_in_any_place(tmp_path: Path) -> None:
    curve = BudgetCurve(axis="tokens", knobs=(0.5, 1.0), costs=(1.0, 2.0))
    write_artifact(mixture_artifact(curve, 1.5, 0.2, 1.0, "threshold", {}), tmp_path / "runs/mix")
    policies = "stepwise:runs/mix,best-of-n(width=2):threshold@0/1"
    words = ("compare", "--policies", policies, "--problems", "8", "--resamples", "200")
    found = json.loads(steproute(tmp_path, *words, "--json", "--name", "own").stdout)
    assert [row["name"] for row in found["rows"]] == ["stepwise:runs/mix", "best-of-n(width=2):threshold"]
    assert set(found["rows"][0]["metrics"]) == {"tokens", "usd", "seconds"}
    assert found["rows"][1]["seconds"] > 0
    traces = read_traces(tmp_path / "runs/own/traces.jsonl.zst")
    assert {trace.route for trace in traces if trace.route.startswith("best")} == {
        "best-of-n(width=2)/threshold=0",
        "best-of-n(width=2)/threshold=1",
    }
    assert (tmp_path / "runs/own/comparison.png").exists()


@pytest.mark.parametrize("command", [("eval", "--policy"), ("compare", "--policies")])
def test_a_retrained_policy_under_the_same_path_is_rejected(tmp_path: Path, command: tuple[str, str]) -> None:
    def mixture(knob: float) -> None:
        curve = BudgetCurve(axis="tokens", knobs=(knob,), costs=(1.0,))
        write_artifact(mixture_artifact(curve, 1.0, 0.2, 1.0, "threshold", {}), tmp_path / "runs/mix")

    words = (*command, "runs/mix", "--problems", "3", "--name", "swap")
    mixture(0.0)
    steproute(tmp_path, *words)
    mixture(1.0)
    refused = " ".join(steproute(tmp_path, *words, code=2).stderr.split())
    assert "policy.json of runs/mix has changed since it began. Resume with the same ones, or name another" in refused
    mixture(0.0)
    steproute(tmp_path, *words)


def test_the_shipped_policy_is_calibrated_and_goes_along_whole(tmp_path: Path) -> None:
    words = ("--policy", "lab-agg", "--knobs", "0.0005,0.005", "--budget", "0.6", "--problems", "72", "--name", "agg")
    steproute(tmp_path, "calibrate", *words)
    facts = json.loads((tmp_path / "runs/agg/policy.json").read_text())
    assert facts["facts"]["inner"]["kind"] == "agg"
    steproute(tmp_path, "eval", "--policy", "runs/agg", "--problems", "4", "--baselines", "", "--name", "used")


def test_a_scorer_is_calibrated_and_used_or_says_what_it_needs(tmp_path: Path) -> None:
    rows = [
        {"group": f"p{n // 4}", "score": 0.05 + 0.9 * (n % 10) / 10, "right": n % 10 > 4 + (n % 3)} for n in range(400)
    ]
    (tmp_path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("calibrate-scorer", "--data", "steps.jsonl", "--out", "runs/map", "--json")
    if find_spec("scipy") is None:
        assert "pip install 'steproute[learn]'" in steproute(tmp_path, *words, code=2).stderr
        return
    figures = json.loads(steproute(tmp_path, *words).stdout)
    assert figures["after"]["ece"] < figures["before"]["ece"]
    assert (tmp_path / "runs/map/reliability.png").exists()
    words = ("eval", "--problems", "4", "--scorer", "runs/map", "--knobs", "0.5", "--baselines", "", "--name", "m")
    steproute(tmp_path, *words)
    steps = [step for trace in read_traces(tmp_path / "runs/m/traces.jsonl.zst") for step in trace.steps]
    scores = {step.score for step in steps if step.score is not None}
    assert 0 < len(scores) < 10, "isotonic maps have few values"
