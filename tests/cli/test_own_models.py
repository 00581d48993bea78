"""Commands that train, plan, calibrate and show on the models of a steproute.toml, over real servers on loopback."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from tests.backends.http.arithmetic import CONFIG, PRM, Arithmetic, config_file, problem_file
from tests.backends.http.hostile import Asked
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.config import read_config
from steproute.core.errors import BackendError, ConfigError, DatasetError
from steproute.evaluation.formatting import dollars
from steproute.learn import lab_fit
from steproute.policies.stored import load_policy
from steproute.policies.trim.pomdp_policy import PomdpFamily


@pytest.fixture(scope="module", autouse=True)
def few_costs() -> Iterator[None]:
    """Planning twenty costs takes seconds, four are as good here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_fit, "_SHARES", np.geomspace(3e-5, 1.5, 4))
        yield


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arithmetic]:
    monkeypatch.chdir(tmp_path)
    with Arithmetic().served() as arithmetic:
        yield arithmetic


@dataclass(frozen=True)
class Trained:
    """A TRIM-POMDP in runs/p of the current folder, and what it was trained on."""

    server: Arithmetic
    config: str
    data: str


@pytest.fixture(scope="module")
def trained_folder(few_costs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Trained]]:
    folder = tmp_path_factory.mktemp("trained")
    with Arithmetic().served() as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained = Trained(server, config_file(folder, server), problem_file(folder, 48))
        good("train", "--policy", "pomdp", "--config", trained.config, "--data", trained.data, "--out", "runs/p")
        yield folder, trained


@pytest.fixture
def trained(trained_folder: tuple[Path, Trained], monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.chdir(trained_folder[0])
    return trained_folder[1]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def good(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def facts(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "policy.json").read_text())["facts"]
    return found


def refused(kind: type[Exception], message: str, *words: str) -> None:
    result = run(*words)
    assert isinstance(result.exception, kind), result.output
    assert message in str(result.exception)


def test_pomdp_learns_from_the_answers_of_ones_own_models(trained: Trained) -> None:
    """Weak errs in one of its four steps on four problems of six, strong never."""
    calls = [each for each in trained.server.calls if "What is 102 plus" not in str(each.body)]
    assert len(calls) == 48 * 3, "a weak solution, its scores and a strong solution"
    family = load_policy(Path("runs/p"))
    assert isinstance(family, PomdpFamily)
    model = family.plan.model
    correct = 8 * (0 + 1 + 2 + 3 + 4 + 4)
    assert model.weak_accuracy == pytest.approx(correct / (correct + 32), abs=0.02)
    assert model.rewriters[0].name == "strong"
    assert model.rewriters[0].accuracy == pytest.approx(1.0, abs=0.01)
    assert facts("runs/p")["config_digest"] == read_config(Path(trained.config)).digest
    before = len(trained.server.calls)
    good("train", "--policy", "pomdp", "--config", trained.config, "--data", trained.data, "--out", "runs/again")
    assert len(trained.server.calls) == before, "the tree answers a rerun"


def test_pomdp_learns_three_roles_of_ones_own_models(server: Arithmetic, tmp_path: Path) -> None:
    """The roles mid and strong are one model at two prices, so both never err and mid costs a fifth."""
    mid = CONFIG.split("[models.strong]")[1].replace("output = 20", "output = 4")
    config = config_file(tmp_path, server, f"{CONFIG}[models.mid]{mid}{PRM}")
    words = ("train", "--config", config, "--data", problem_file(tmp_path, 48), "--roles", "weak,strong,mid")
    good(*words, "--out", "runs/p")
    assert len(server.calls) == 48 * 4, "a weak solution, its scores, and one by mid and by strong"
    family = load_policy(Path("runs/p"))
    assert isinstance(family, PomdpFamily)
    mid_role, strong = family.plan.model.rewriters
    assert (mid_role.name, strong.name) == ("mid", "strong")
    assert mid_role.relative_cost == pytest.approx(0.2)
    assert mid_role.accuracy == strong.accuracy == pytest.approx(1.0, abs=0.01)


@pytest.mark.training
@pytest.mark.parametrize("policy", ["agg", "seq"])
def test_ppo_learns_three_roles_of_ones_own_models(server: Arithmetic, tmp_path: Path, policy: str) -> None:
    """The policy is refused where a role that it names is missing."""
    pytest.importorskip("stable_baselines3")
    mid = CONFIG.split("[models.strong]")[1].replace("output = 20", "output = 4")
    three = config_file(tmp_path, server, f"{CONFIG}[models.mid]{mid}{PRM}")
    own = ("--config", three, "--data", problem_file(tmp_path, 20))
    good("train", "--policy", policy, *own, "--roles", "weak,mid,strong", "--passes", "1", "--out", "runs/p")
    assert facts("runs/p")["roles"] == ["weak", "mid", "strong"]
    knob = f"{facts('runs/p')['low']:.4g}"
    good("eval", "--policy", "runs/p", *own, "--knobs", knob, "--baselines", "")
    before = len(server.calls)
    two = ("--config", config_file(tmp_path, server), "--data", own[3])
    solve = ("solve", "What is 2 plus 2?", "--knob", knob, "--policy")
    for command in (("eval", "--policy"), ("compare", "--policies"), solve):
        refused(
            ConfigError,
            "it asks the model 'mid', and there are only strong, weak",
            *command,
            "runs/p",
            *two[: 2 if command[0] == "solve" else 4],
        )
    assert len(server.calls) == before


def test_pomdp_learns_from_a_run_and_calls_nothing(server: Arithmetic, tmp_path: Path) -> None:
    config, data = config_file(tmp_path, server), problem_file(tmp_path, 24)
    good("eval", "--config", config, "--data", data, "--knobs", "0,0.5", "--baselines", "", "--name", "first")
    before = len(server.calls)
    good("train", "--run", "runs/first", "--out", "runs/p")
    good("train", "--run", "runs/first", "--config", config, "--out", "runs/q")
    assert len(server.calls) == before
    assert facts("runs/p") == facts("runs/q") == facts("runs/p") | {"run": "runs/first", "data": data}
    other = Path(config_file(tmp_path, server, CONFIG + PRM.replace("input = 1", "input = 2")))
    refused(ConfigError, "is of other models or scorers", "train", "--run", "runs/first", "--config", str(other))


def test_a_run_whose_weak_solutions_are_not_scored_is_refused(server: Arithmetic, tmp_path: Path) -> None:
    config, data = config_file(tmp_path, server), problem_file(tmp_path, 12)
    good("eval", "--config", config, "--data", data, "--knobs", "0.5", "--baselines", "", "--name", "repaired")
    refused(DatasetError, "has no route in which the weak model wrote every step", "train", "--run", "runs/repaired")
    refused(ConfigError, "holds no run.toml", "train", "--run", "runs/nothing")


def test_ranks_of_a_trained_pomdp_are_its_knobs(trained: Trained) -> None:
    words = ("solve", "--config", trained.config, "--policy", "runs/p", "What is 102 plus 1?", "--json")
    cheap, dear = (json.loads(good(*words, "--knob", rank)) for rank in ("1", "4"))
    assert (cheap["answer"], dear["answer"]) == ("104", "103")
    assert cheap["route"] == "stepwise/runs/p=1"
    refused(ConfigError, "knob: 0.5 is no rank of this TRIM-POMDP", *words, "--knob", "0.5")


def test_the_plan_of_a_trained_policy_takes_its_cost_from_prices(trained: Trained, tmp_path: Path) -> None:
    config, server = trained.config, trained.server
    words = ("plan", "--reference", "runs/p", "--stages", "0", "--json")
    found = json.loads(good(*words, "--config", config, "--answer-usd", "0.01"))
    assert found["cost"] == pytest.approx(100 * 20 / 1_000_000 / 0.01)
    assert json.loads(good(*words, "--cost", str(found["cost"])))["advantages"] == found["advantages"]
    for wrong in ((), ("--cost", "1", "--config", config), ("--answer-usd", "1"), ("--cost", "1", "--answer-usd", "1")):
        refused(ConfigError, "give --cost, or both --config and --answer-usd", *words, *wrong)
    refused(ConfigError, "answer-usd: 0 is no worth", *words, "--config", config, "--answer-usd", "0")
    free = config_file(tmp_path, server, re.sub(r"price = .*", "", CONFIG))
    refused(ConfigError, "its output costs nothing", *words, "--config", free, "--answer-usd", "1")


@pytest.mark.parametrize("policy", [pytest.param("agg", marks=pytest.mark.training), "query-sw"])
def test_a_training_resumes_and_pays_nothing_twice(server: Arithmetic, tmp_path: Path, policy: str) -> None:
    pytest.importorskip("stable_baselines3" if policy == "agg" else "sklearn")
    problems, calls = (40, 30) if policy == "agg" else (80, 70)
    config, data = config_file(tmp_path, server), problem_file(tmp_path, problems)
    words = ("train", "--policy", policy, "--config", config, "--data", data, "--in-flight", "4", "--passes", "1")
    server.breaks_after = calls
    if policy == "agg":
        refused(BackendError, "The same command goes on where this one stopped", *words)
        assert not Path("runs/agg").exists()
    else:
        assert "10 of 80 problems failed and are left out" in good(*words)
    assert len(server.calls) == calls
    server.breaks_after = None
    good(*words)
    resumed = len(server.calls)
    again = good(*words)
    assert len(server.calls) == resumed, "the tree answers a rerun"
    assert "0 of " in again
    bodies = [json.dumps(each.body, sort_keys=True) for each in server.calls]
    assert len(set(bodies)) == len(bodies), "no call was made twice"
    assert facts(f"runs/{policy}")["config_digest"] == read_config(Path(config)).digest


def test_an_impossible_training_is_rejected_before_the_first_call(server: Arithmetic, tmp_path: Path) -> None:
    data = problem_file(tmp_path, 12)
    bare = ("--config", config_file(tmp_path, server, CONFIG.replace("logprobs = 2", "logprobs = 0")), "--data", data)
    refused(ConfigError, "reads scores of the scorer 'prm', and there is none", "train", "--policy", "pomdp", *bare)
    refused(ConfigError, "labels: steps need a checker", "train", "--labels", "steps", *bare)
    pytest.importorskip("stable_baselines3")
    refused(ConfigError, "reads scores of the scorer 'prm'", "train", "--policy", "agg", *bare)
    full = ("--config", config_file(tmp_path, server, CONFIG.replace("logprobs = 2", "logprobs = 0") + PRM))
    words = ("train", "--policy", "agg-confidence", *full, "--data", data)
    refused(ConfigError, "reads log-probabilities, and the model 'weak' gives none", *words)
    (tmp_path / "open.jsonl").write_text('{"problem": "Why?"}\n')
    refused(DatasetError, "no gold answer", "train", "--policy", "query-sw", *full, "--data", "open.jsonl")
    assert not server.calls
    assert not list(tmp_path.glob("runs/*/policy.json"))


def test_a_tree_of_other_models_is_refused(server: Arithmetic, tmp_path: Path) -> None:
    data = problem_file(tmp_path, 24)
    words = ("train", "--data", data, "--tree", "own-tree", "--config")
    good(*words, config_file(tmp_path, server))
    other = config_file(tmp_path, server, CONFIG.replace('model = "weak"', 'model = "weaker"') + PRM)
    refused(ConfigError, "tree: own-tree grew by other models or scorers", *words, other)


def test_only_a_tree_that_grew_is_of_its_models(server: Arithmetic, tmp_path: Path) -> None:
    """Neither an estimate nor a refusal makes a tree anybody's, or leaves a file."""
    before = {*tmp_path.iterdir(), Path(problem_file(tmp_path, 24))}
    words = ("train", "--data", problem_file(tmp_path, 24), "--tree", "own-tree", "--config")
    good(*words, config_file(tmp_path, server), "--estimate")
    bare = config_file(tmp_path, server, CONFIG)
    refused(ConfigError, "reads scores of the scorer 'prm', and there is none", *words, bare)
    assert {*tmp_path.iterdir()} == before | {Path(bare)}
    good(*words, config_file(tmp_path, server, CONFIG + PRM.replace("input = 1", "input = 2")))


def labelled(folder: Path, count: int) -> str:
    """Solutions of four steps, of which one in five is wrong and some score as if they were not."""
    path = folder / "labelled.jsonl"
    rows = []
    for n in range(count):
        wrong = n % 5
        steps = [f"Step {i}: {'wrong' if i == wrong and n % 3 else 'fine'} of {n}" for i in range(4)]
        rows.append({"problem": f"What is {n} plus 1?", "steps": steps, "label": wrong if wrong < 4 else -1})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_scorer_of_the_file_scores_labelled_solutions_once(server: Arithmetic, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    config, data = config_file(tmp_path, server), labelled(tmp_path, 60)
    words = ("calibrate-scorer", "--config", config, "--data", data, "--out", "runs/map", "--json")
    server.breaks_after = 20
    assert isinstance(run(*words, "--in-flight", "1").exception, BackendError)
    server.breaks_after = None
    found = json.loads(good(*words))
    assert len(server.calls) == 60
    assert found["fitted_on"] + found["measured_on"] == 240
    assert json.loads(good(*words)) == found
    assert len(server.calls) == 60, "the tree answers a rerun"
    calibrated = CONFIG + PRM + 'calibration = "runs/map"\n'
    refused(
        ConfigError, "scorers.prm.calibration: is set", "calibrate-scorer", "--config",
        config_file(tmp_path, server, calibrated), "--data", data
    )  # fmt: skip


def test_labels_alone_are_refused_without_a_scorer_and_gold_answers_always(server: Arithmetic, tmp_path: Path) -> None:
    data = labelled(tmp_path, 6)
    for command in ("calibrate-scorer", "train"):
        refused(DatasetError, "row 1: scores are missing. Give a number from 0 to 1", command, "--data", data)
        bare = config_file(tmp_path, server, CONFIG)
        refused(ConfigError, "reads scores of the scorer 'prm'", command, "--data", data, "--config", bare)
    for problems in (problem_file(tmp_path, 3), "gsm8k"):
        refused(DatasetError, "ProcessBench's format", "calibrate-scorer", "--data", problems)
    assert not server.calls


def test_pomdp_takes_labelled_steps_that_the_files_scorer_scores(server: Arithmetic, tmp_path: Path) -> None:
    config, data = config_file(tmp_path, server), labelled(tmp_path, 40)
    good("train", "--config", config, "--data", data, "--strong-accuracy", "0.9", "--out", "runs/p")
    assert len(server.calls) == 40
    family = load_policy(tmp_path / "runs/p")
    assert isinstance(family, PomdpFamily)
    assert family.plan.model.weak_accuracy == pytest.approx(80 / 112)


@pytest.mark.parametrize(
    ("text", "policy", "others"),
    [
        (CONFIG + PRM, "threshold", ["confidence", "random"]),
        (CONFIG, "confidence", ["random"]),
        (CONFIG.replace("logprobs = 2", "logprobs = 0"), "random", []),
    ],
)
def test_the_demo_runs_what_the_models_can(
    server: Arithmetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, policy: str, others: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    config, data = config_file(tmp_path, server, text), problem_file(tmp_path, 12)
    words = ("demo", "--config", config, "--data", data, "--problems", "8")
    found = good(*words)
    (folder,) = (path.parent for path in tmp_path.glob("runs/demo-*/summary.json"))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["policy"] == policy
    assert [series["name"] for series in summary["baselines"]] == others
    assert summary["problems"] == 8
    assert "✓" in found
    if policy == "threshold":
        assert "a rescue" in found
        assert "✗ (correct is 1)" in found
    calls = len(server.calls)
    good(*words)
    assert len(server.calls) == calls, "a second demo goes on from the first"
    refused(ConfigError, "give both", "demo", "--config", config)


def demo_summary() -> dict[str, Any]:
    (path,) = Path("runs").glob("demo-*/summary.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def ledger(server: Arithmetic) -> Decimal:
    """Dollars of all that the server has read and generated, at the prices of CONFIG and PRM."""
    usd = {"weak": (1, 2), "strong": (10, 20), "prm": (1, 0)}
    paid = (
        usd[each.body["model"]][0] * each.prompt_tokens + usd[each.body["model"]][1] * each.generated
        for each in server.calls
    )
    return Decimal(sum(paid)) / 1_000_000


def test_the_demo_prints_the_paid_dollars_and_the_time_of_shared_steps(server: Arithmetic, tmp_path: Path) -> None:
    words = ("demo", "--config", config_file(tmp_path, server), "--data", problem_file(tmp_path, 12))
    shown = " ".join(good(*words).split())
    found = demo_summary()
    assert 0 < found["paid_usd"] < found["spent_usd"]
    (journal,) = tmp_path.glob("runs/demo-*/tree.jsonl.zst.paid")
    assert Decimal(journal.read_text()) == ledger(server)
    assert found["paid_usd"] == float(ledger(server))
    assert f"paid {dollars(found['paid_usd'])} (shared steps once)" in shown
    for point in (found["weak"], found["strong"], *found["points"]):
        assert point["latency_s"] > 0
    assert all(each["latency"] is not None for each in found["operating_points"])
    assert re.search(r"always strong .* 0\.00\b", shown) is None
    good(*words)
    assert demo_summary()["paid_usd"] == found["paid_usd"]


def test_a_training_prints_what_growing_its_tree_has_cost(server: Arithmetic, tmp_path: Path) -> None:
    words = ("train", "--policy", "pomdp", "--config", config_file(tmp_path, server), "--data")
    first = good(*words, problem_file(tmp_path, 48))
    before = ledger(server)
    (journal,) = tmp_path.glob("runs/tree-*.paid")
    assert Decimal(journal.read_text()) == before
    assert f"\npaid {dollars(float(before))}\n" in first
    more = good(*words, problem_file(tmp_path, 54))
    total = ledger(server)
    assert Decimal(journal.read_text()) == total > before
    parts = f"{dollars(float(total - before))} now, {dollars(float(before))} by earlier commands"
    assert f"\npaid {dollars(float(total))}: {parts}" in more


def test_the_demo_of_changed_models_has_a_folder_of_its_own(server: Arithmetic, tmp_path: Path) -> None:
    data = problem_file(tmp_path, 12)
    good("demo", "--config", config_file(tmp_path, server), "--data", data)
    changed = (CONFIG + PRM).replace("logprobs = 2", "logprobs = 3")
    good("demo", "--config", config_file(tmp_path, server, changed), "--data", data)
    assert len(list(tmp_path.glob("runs/demo-*/summary.json"))) == 2


@pytest.mark.parametrize("changed", ["limits", "problems"])
def test_a_demo_with_other_settings_is_rejected_before_the_first_call(
    server: Arithmetic, tmp_path: Path, changed: str
) -> None:
    config, data = config_file(tmp_path, server), problem_file(tmp_path, 12)
    words = ("demo", "--config", config, "--data", data, "--name", "mine")
    good(*words)
    calls = len(server.calls)
    if changed == "limits":
        config_file(tmp_path, server, CONFIG + PRM + "[limits]\nmax_steps = 7\n")
    else:
        Path(data).write_text(Path(data).read_text().replace("plus 1?", "plus 1, please?"))
    refused(ConfigError, "name another run", *words)
    assert len(server.calls) == calls
    good(*words[:-1], "another")
    assert len(server.calls) > calls


def test_replay_is_billed_at_the_prices_of_the_file(
    server: Arithmetic, tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(data_folder))
    words = ("replay", "qwen3", "--knobs", "0.5", "--json")
    nominal = json.loads(good(*words))
    text = CONFIG.replace("input = 10, output = 20", 'input = "1.00", output = "4.00"')
    text = text.replace("input = 1, output = 2 ", 'input = "0.10", output = "0.40" ')
    own = json.loads(good(*words, "--config", config_file(tmp_path, server, text + PRM)))
    assert own["strong"]["cost_usd"] == pytest.approx(nominal["strong"]["cost_usd"])
    assert own["weak"]["cost_usd"] == pytest.approx(2 * nominal["weak"]["cost_usd"])
    assert own["weak"]["accuracy"] == nominal["weak"]["accuracy"]
    bare = config_file(tmp_path, server, CONFIG)
    refused(ConfigError, "scorers.prm: is missing", *words, "--config", bare)
    assert not server.calls


class Telling(Arithmetic):
    """Gives each piece's log-probability where it is asked; the weak model is unsure of a wrong step."""

    def _event(self, request: Asked, piece: str, **ending: str | None) -> bytes:
        body = json.loads(super()._event(request, piece, **ending).removeprefix(b"data: "))
        if request.body.get("logprobs") and piece:
            logprob = -3.0 if "wrong" in piece else -0.01 - len(str(request.body["prompt"])) % 10 / 100
            body["choices"][0]["logprobs"] = {"tokens": [piece], "token_logprobs": [logprob]}
        return self._data(body)


SURE = CONFIG.replace('model = "strong"', 'model = "strong"\nlogprobs = 2') + '[scorers.prm]\nbackend = "confidence"\n'


def test_pomdp_learns_from_log_probabilities_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Telling().served() as server:
        config, data = config_file(tmp_path, server, SURE), problem_file(tmp_path, 48)
        good("train", "--policy", "pomdp", "--config", config, "--data", data, "--out", "runs/p")
    family = load_policy(Path("runs/p"))
    assert isinstance(family, PomdpFamily)
    correct = 8 * (0 + 1 + 2 + 3 + 4 + 4)
    assert family.plan.model.weak_accuracy == pytest.approx(correct / (correct + 32), abs=0.02)


def test_given_solutions_have_no_log_probabilities_to_train_on(server: Arithmetic, tmp_path: Path) -> None:
    row = {"problem": "What is 1 plus 1?", "steps": ["one", "two"], "label": -1}
    Path("labelled.jsonl").write_text(json.dumps(row) + "\n")
    words = ("train", "--policy", "pomdp", "--config", config_file(tmp_path, server, SURE), "--data", "labelled.jsonl")
    refused(ConfigError, "the steps of labelled.jsonl were written elsewhere", *words)
    assert not server.calls
