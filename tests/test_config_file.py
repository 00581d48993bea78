import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from steproute import Meter, Problem
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.cli.options import names
from steproute.config import (
    AnswerSettings,
    RouteSettings,
    RunConfig,
    build_strategy,
    lab_roles,
    read_config,
    read_setup,
)
from steproute.core.answer_rule import FINAL_LINE
from steproute.core.errors import ConfigError
from steproute.core.grade import Grade
from steproute.core.ports import TAKES_OVER, Continuation
from steproute.core.registry import graders
from steproute.grading.numeric import NumericGrader
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.scorers.vllm_pooling import VllmPoolingScorer
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

STEPROUTE = str(Path(sys.executable).with_name("steproute"))

WHOLE = """
[models.weak]
backend = "openai"
base_url = "http://127.0.0.1:8001/v1"
model = "small"
continuation = "continue_final_message"
read_s = 20
price = { input = 0.05, output = 0.2, cache_read = "0.005" }
sampling = { temperature = 0.7, max_tokens = 512 }
limiter = { in_flight = 16 }

[models.strong]
backend = "lab"
name = "lab-strong"

[scorers.prm]
backend = "vllm-pooling"
base_url = "http://127.0.0.1:8003"
model = "prm"
price = { input = 0.05, output = 0 }

[route]
knob = 0.35
strategy = "pipelined"
lookahead = 2
hedge = 0.7

[limits]
max_cost_usd = 0.01
on_scorer_failure = "accept"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "steproute.toml"
    path.write_text(text)
    return path


def test_a_whole_configuration_becomes_a_cast(tmp_path: Path) -> None:
    read = read_config(written(tmp_path, WHOLE))
    roles = read.roles()
    weak = roles.model("weak")
    assert isinstance(weak.model, OpenAiModel)
    assert weak.model.settings.continuation is Continuation.CONTINUE_FINAL_MESSAGE
    assert weak.model.settings.server.read_s == 20
    assert weak.price.cache_read == Decimal("0.005")
    assert weak.price.output == Decimal("0.2")
    assert weak.sampling.max_tokens == 512
    assert weak.limiter is not None
    assert weak.limiter.settings.in_flight == 16
    assert isinstance(roles.scorer().scorer, VllmPoolingScorer)
    assert roles.model("strong").limiter is None
    assert roles.model("strong").price.table == "not set"
    assert read.route.knob == 0.35
    assert read.limits.max_cost_usd == Decimal("0.01")
    assert read.route.settings == {"lookahead": 2, "hedge": 0.7}


def test_two_roles_of_one_model_share_its_gate(tmp_path: Path) -> None:
    again = WHOLE.replace('[models.strong]\nbackend = "lab"\nname = "lab-strong"', "").replace(
        "[route]", WHOLE[WHOLE.index("backend") : WHOLE.index("[models.strong]")].join(["[models.strong]\n", "[route]"])
    )
    roles = read_config(written(tmp_path, again)).roles()
    assert roles.model("weak").limiter is roles.model("strong").limiter


GATED = """
[models.weak]
backend = "openai"
base_url = "http://127.0.0.1:8001/v1"
model = "small"
limiter = { in_flight = 4 }
[models.strong]
backend = "openai"
base_url = "http://127.0.0.1:8001/v1/"
model = "small"
[scorers.strong]
backend = "self-evaluation"
base_url = "http://127.0.0.1:8001"
model = "small"
"""


def test_tables_of_one_server_and_model_share_their_limiter(tmp_path: Path) -> None:
    for text in (GATED, GATED.replace("limiter = { in_flight = 4 }\n", "") + "limiter = { in_flight = 4 }\n"):
        roles = read_config(written(tmp_path, text)).roles()
        limiter = roles.model("weak").limiter
        assert limiter is not None
        assert limiter is roles.model("strong").limiter is roles.scorers["strong"].limiter
        assert limiter.settings.in_flight == 4


def test_two_models_of_one_server_do_not_share_a_gate(tmp_path: Path) -> None:
    head, mark, tail = GATED.partition("[models.strong]")
    roles = read_config(written(tmp_path, head + mark + tail.replace('"small"', '"large"', 1))).roles()
    weak, strong = roles.model("weak").limiter, roles.model("strong").limiter
    assert weak is not None
    assert strong is not None
    assert (weak.settings.in_flight, strong.settings.in_flight) == (4, 64)


def test_different_limiters_of_one_server_and_model_are_rejected(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, GATED + "limiter = { in_flight = 4, cooldown_s = 10 }\n")).roles()
    with pytest.raises(ConfigError, match=r"scorers.strong.limiter: \{'in_flight': 5\} is not that of models.weak"):
        read_config(written(tmp_path, GATED + "limiter = { in_flight = 5 }\n")).roles()


def test_models_in_this_process_have_each_its_own_gate(tmp_path: Path) -> None:
    lab = 'backend = "lab"\nname = "lab-weak"\nlimiter = { in_flight = 1 }\n'
    roles = read_config(written(tmp_path, f"[models.weak]\n{lab}[models.strong]\n{lab}")).roles()
    assert roles.model("weak").limiter is not roles.model("strong").limiter


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('backend = "openai"', 'backend = "opnai"', "models.weak: models: 'opnai' is unknown. Use one of"),
        ('backend = "openai"\n', "", "models.weak.backend: missing. Use one of"),
        ("127.0.0.1:8001/v1", "", "models.weak: base_url: 'http://' is no address"),
        ("continue_final_message", "prefill", "models.weak: continuation: 'prefill' is not offered by vllm servers"),
        ("continue_final_message", "magic", "models.weak: continuation: invalid enum value 'magic'"),
        ("read_s = 20", "read_s = 0", "models.weak: read_s: 0.0 is not above 0"),
        ("read_s = 20", 'read_s = "fast"', "models.weak: read_s: expected `float`, got `str`"),
        ("read_s = 20", "red_s = 20", "models.weak: red_s: unknown. Known fields:"),
        ("output = 0.2", "out = 0.2", "models.weak.price: give input and output"),
        ("output = 0.2", "output = -1", "models.weak.price: output = -1 is below 0"),
        ("output = 0.2", "output = nan", "models.weak.price: output = NaN is no finite number"),
        ("temperature = 0.7", "temperature = -1", "models.weak.sampling.temperature: -1.0 is no temperature"),
        ("temperature = 0.7", "temperature = nan", "models.weak.sampling.temperature: nan is no temperature"),
        ("temperature = 0.7", "top_p = 7", "models.weak.sampling.top_p: 7.0 is outside (0, 1]"),
        ("temperature = 0.7", "top_p = 0", "models.weak.sampling.top_p: 0.0 is outside (0, 1]"),
        ("temperature = 0.7", "top_k = -1", "models.weak.sampling.top_k: -1 is below 0"),
        ("max_tokens = 512", "max_tokens = 0", "models.weak.sampling.max_tokens: 0 is below 1"),
        ("temperature = 0.7", "heat = 0.7", "models.weak.sampling.heat: unknown"),
        ("in_flight = 16", "in_flight = 0", "models.weak.limiter.in_flight: 0 is below 1"),
        ('name = "lab-strong"', 'nam = "lab-strong"', "models.strong: nam: unknown. Known fields: name."),
        ('name = "lab-strong"', "", "models.strong: name: missing. Use one of lab-weak, lab-mid, lab-strong, lab-"),
        (
            '"lab-strong"',
            '"lab-medium"',
            "invalid enum value 'lab-medium'. Use one of lab-weak, lab-mid, lab-strong, lab-weak-hinted",
        ),
        ('model = "small"\n', "", "models.weak: model: missing. Set model = …."),
        ('base_url = "http://127.0.0.1:8001/v1"\n', "", "models.weak: base_url: missing. Set base_url = …."),
        (
            "read_s = 20",
            "server = { read_s = 20 }",
            "models.weak: server: unknown. Known fields: api_key_env, base_url,",
        ),
        (
            "temperature = 0.7",
            "seed = 7",
            "models.weak.sampling.seed: 7 has no effect here: each call gets its own",
        ),
        (
            "temperature = 0.7",
            'stop = "!"',
            "models.weak.sampling.stop: '!' has no effect here: a step ends at",
        ),
        (
            'model = "prm"',
            'model = "prm"\nsampling = {}',
            "scorers.prm.sampling: a scorer samples nothing. Put it",
        ),
        ("read_s = 20", 'calibration = "map"', "models.weak.calibration: maps a scorer's scores. Put it below"),
        ("max_cost_usd = 0.01", "max_steps = 0", "steproute.toml: limits.max_steps: 0 leaves no room"),
        ("max_cost_usd = 0.01", "max_cost_usd = -1", "steproute.toml: limits.max_cost_usd: -1 is not a budget"),
        ("knob = 0.35", 'knob = "high"', "route.knob: expected `float`, got `str`"),
        ("lookahead = 2", "ahed = 2", "route.ahed: strategy 'pipelined' has no such setting"),
        ("max_cost_usd = 0.01", 'max_cost_usd = "much"', "limits.max_cost_usd: 'much' is no number"),
        ("[limits]", "[limit]", "limit is unknown. Use models, scorers, roles, route, limits, answer, doctor"),
        ("[limits]", '[answer]\nrule = "box"\n[limits]', "answer.rule: 'box' is unknown. Use one of boxed, final_line"),
        ("[limits]", "[answer]\ngrader = 5\n[limits]", "answer.grader: expected `str`, got `int`"),
        ("[route]", "[[route]]", "route is no table"),
        ("[route]", "route", "no TOML"),
    ],
)
def test_invalid_fields_are_named_with_their_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, WHOLE.replace(old, new, 1))).roles()
    assert message in str(caught.value)
    assert "steproute.toml" in str(caught.value)


def test_the_digest_covers_what_models_and_scorers_read(tmp_path: Path) -> None:
    digest = read_config(written(tmp_path, WHOLE)).digest
    assert (
        read_config(written(tmp_path, "# A comment.\n" + WHOLE.replace("knob = 0.35", "knob = 0.4"))).digest == digest
    )
    for old, new in (('"small"', '"large"'), ("output = 0.2", "output = 0.3"), ('"prm"', '"orm"')):
        assert read_config(written(tmp_path, WHOLE.replace(old, new, 1))).digest != digest


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\). Name a file"):
        read_config(tmp_path)


def test_takeover_steps_of_a_policy_that_never_takes_over_are_refused(tmp_path: Path) -> None:
    route = RouteSettings(settings={"takeover_steps": 2})
    with pytest.raises(ConfigError, match="takeover_steps: 2 has no effect, since no takeover comes from Threshold"):
        route.strategy_at(0)
    taking = route.changed(policy="threshold+takeover", settings={"takeover_steps": 2})
    assert taking.strategy_at(0) == Stepwise(policy=ThresholdTakeover(0.5), takeover_steps=2)
    assert taking.changed(policy="rsd").settings == {}
    run = RunConfig(name="a", data="lab", route=route, baselines=("random",))
    with pytest.raises(ConfigError, match="no takeover comes from threshold, random"):
        run.sweep()


def test_a_calibrated_policy_takes_over_if_the_inner_policy_does() -> None:
    curve = BudgetCurve(axis="tokens", knobs=(0.2, 0.4), costs=(1.0, 2.0))
    for family, may in ((Threshold, False), (ThresholdTakeover, True)):
        policy = MixtureFamily(family, curve, cost=1.5, goal=0.3, deviation=0.1).at(0.3, 0)
        assert TAKES_OVER.of(policy) is may


def test_a_key_comes_from_its_variable_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, WHOLE.replace("read_s = 20", 'api_key_env = "WEAK_KEY"'))
    monkeypatch.delenv("WEAK_KEY", raising=False)
    with pytest.raises(ConfigError, match="models.weak: api_key_env: the variable WEAK_KEY is not set"):
        read_config(path).roles()
    monkeypatch.setenv("WEAK_KEY", "sk-secret")
    assert "sk-secret" not in repr(read_config(path)) + repr(read_config(path).roles())
    assert not [field for field in fields(OpenAiSettings) if "key" in field.name]


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="steproute init"):
        read_config(tmp_path / "steproute.toml")


def test_another_strategy_takes_none_of_the_routes_settings() -> None:
    ahead = {"lookahead": 2, "hedge": 0.7}
    route = RouteSettings(strategy="pipelined", policy="rsd", knob=0.2, settings=ahead)
    assert route.changed() == route
    assert route.changed(
        strategy="pipelined", policy="threshold", knob=0.5, settings={"takeover_steps": 3}
    ) == RouteSettings(strategy="pipelined", policy="threshold", knob=0.5, settings={**ahead, "takeover_steps": 3})
    assert route.changed(strategy="stepwise") == RouteSettings(strategy="stepwise", policy="rsd", knob=0.2)


def test_a_strategy_takes_its_settings_and_refuses_those_of_others() -> None:
    policy = Threshold(0.5)
    assert build_strategy("pipelined", policy, {"lookahead": 2}) == Pipelined(policy=policy, lookahead=2)
    with pytest.raises(ConfigError, match="hedge: strategy 'stepwise' has no such setting"):
        build_strategy("stepwise", policy, {"hedge": 0.5})
    with pytest.raises(ConfigError, match="lookahead: 0 is below 1"):
        build_strategy("pipelined", policy, {"lookahead": 0})


def test_an_in_process_backend_has_a_limiter_if_the_file_gives_one(tmp_path: Path) -> None:
    lab = 'backend = "lab"\nname = "lab-strong"'
    assert read_config(written(tmp_path, WHOLE)).roles().model("strong").limiter is None
    limiter = (
        read_config(written(tmp_path, WHOLE.replace(lab, f"{lab}\nlimiter = {{ in_flight = 1 }}")))
        .roles()
        .model("strong")
        .limiter
    )
    assert limiter is not None
    assert limiter.settings.in_flight == 1


def test_a_baseline_of_another_strategy_gets_the_settings_that_it_has() -> None:
    config = RunConfig(
        name="a",
        data="lab",
        route=RouteSettings(strategy="pipelined", settings={"takeover_steps": 3, "hedge": 0.7}),
        baselines=("stepwise:threshold+takeover",),
    )
    sweep = config.sweep()
    assert {(r.strategy.takeover_steps, r.strategy.hedge) for r in sweep.policy.routes} == {(None, 0.7)}  # type: ignore[attr-defined]
    assert {r.strategy.takeover_steps for r in sweep.baselines[0].routes} == {3}  # type: ignore[attr-defined]


def test_a_policy_of_a_comparison_may_have_a_strategy_with_settings_of_its_own() -> None:
    config = RunConfig(
        name="a",
        data="lab",
        route=RouteSettings(policy="stepwise(takeover_steps=2):threshold+takeover"),
        baselines=("vote(samples=4):threshold", 'second-chances(rungs=["resample"],width=2):ladder', "vote:threshold"),
    )
    sweep = config.sweep()
    assert {each.strategy.takeover_steps for each in sweep.policy.routes} == {2}  # type: ignore[attr-defined]
    routes = [each.routes[0] for each in sweep.baselines]
    assert routes[0].name == "vote(samples=4)/threshold=0"
    assert [each.strategy.samples for each in (routes[0], routes[2])] == [4, 8]  # type: ignore[attr-defined]
    assert (routes[1].strategy.rungs, routes[1].strategy.width) == (("resample",), 2)  # type: ignore[attr-defined]
    assert RunConfig(name="a", data="lab", baselines=("vote(samples=4):runs/x",)).artifacts == ["runs/x"]
    with pytest.raises(ConfigError, match="strategy 'vote' has no such setting"):
        replace(config, baselines=("vote(width=2):threshold",)).sweep()
    with pytest.raises(ConfigError, match="'four' is no setting"):
        replace(config, baselines=("vote(four):threshold",)).sweep()


def test_a_policy_of_a_comparison_may_have_knobs_of_its_own() -> None:
    config = RunConfig(name="a", data="lab", route=RouteSettings(policy="threshold@0.2/1"), baselines=("beam:rsd@0.5",))
    sweep = config.sweep()
    assert [(each.name, each.knobs) for each in (sweep.policy, *sweep.baselines)] == [
        ("threshold", (0.2, 1.0)),
        ("beam:rsd", (0.5,)),
    ]
    assert RunConfig(name="a", data="lab", baselines=("query:runs/x@1e-3/2",)).artifacts == ["runs/x"]
    with pytest.raises(ConfigError, match="'0.5//1' are no knobs"):
        replace(config, baselines=("rsd@0.5//1",)).sweep()
    with pytest.raises(ConfigError, match="threshold is there twice"):
        replace(config, baselines=("threshold",)).sweep()


def test_commas_in_parentheses_separate_no_policies() -> None:
    policies = ["threshold", "second-chances(width=2,temperature=0.7):ladder", "oracle"]
    assert names("policies", ", ".join(policies)) == policies


def test_a_run_resumes_only_with_the_same_models(tmp_path: Path) -> None:
    lab = (files("steproute.cli") / "templates" / "lab.toml").read_text()
    words = ["eval", "--problems", "2", "--knobs", "0.5", "--name", "a"]

    def evaluated(*more: str, code: int = 0) -> str:
        result = subprocess.run([STEPROUTE, *words, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
        return " ".join(result.stderr.split())

    path = written(tmp_path, lab)
    evaluated("--config", "steproute.toml")
    run = tomllib.loads((tmp_path / "runs" / "a" / "run.toml").read_text())
    assert run["config_digest"] == read_config(path).digest != ""
    written(tmp_path, lab + "# A comment.\n")
    evaluated("--config", "steproute.toml")
    written(tmp_path, lab.replace('output = "4.00"', 'output = "5.00"'))
    said = evaluated("--config", "steproute.toml", code=2)
    assert "run 'a': [models] or [scorers] of its steproute.toml have changed since it began." in said
    assert run["config_digest"] not in said
    assert "began with the models of a steproute.toml and is now given those of the lab" in evaluated(code=2)


def test_solve_follows_the_limits_and_exits_with_1_on_failure(tmp_path: Path) -> None:
    lab = (files("steproute.cli") / "templates" / "lab.toml").read_text()

    def solved(text: str, *words: str, code: int) -> dict[str, Any]:
        written(tmp_path, text)
        asked = [STEPROUTE, "solve", "--sample", "2", "--json", "--config", "steproute.toml", *words]
        result = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
        trace: dict[str, Any] = json.loads(result.stdout)
        return trace

    assert len(solved(lab, code=0)["steps"]) > 1
    short = solved(lab + "[limits]\nmax_steps = 1\n", code=0)
    assert (short["outcome"], len(short["steps"])) == ("max_steps", 1)
    tight = lab + "[limits]\nmax_tokens = 8\n"
    assert solved(tight, code=0)["outcome"] == "token_budget"
    assert solved(tight, "--max-tokens", "2000", code=0)["outcome"] == "answered"
    weak = '[models.weak]\nbackend = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n'
    dead = weak + lab[lab.index("[models.strong]") :]
    failed = solved(dead + "[limits]\nretries = 0\n", code=1)
    assert (failed["outcome"], failed["steps"]) == ("failed", [])
    assert "weak" in failed["error"]


def test_eval_goes_by_the_configurations_route_and_limits(tmp_path: Path) -> None:
    words = "eval --data lab --problems 2 --knobs 0.5 --baselines cascade:threshold --name a --config steproute.toml"
    lab = (files("steproute.cli") / "templates" / "lab.toml").read_text()
    written(
        tmp_path, lab.replace('"stepwise"', '"pipelined"\nlookahead = 2') + "\n[limits]\nmax_steps = 9\nretries = 5\n"
    )
    subprocess.run([STEPROUTE, *words.split(), "--max-tokens", "900"], cwd=tmp_path, check=True, capture_output=True)
    run = tomllib.loads((tmp_path / "runs" / "a" / "run.toml").read_text())
    assert "pipelined(lookahead=2)/threshold=0.5" in run["holds"]["routes"]
    assert run["limits"] | {"max_steps": 9, "retries": 5, "max_tokens": 900} == run["limits"]


def test_the_table_of_answers_sets_the_rule_and_the_grader_of_a_run(tmp_path: Path) -> None:
    answer = '[answer]\nrule = "final_line"\ngrader = "numeric"\nrelative = 0.01\n[limits]'
    setup = read_setup(written(tmp_path, WHOLE.replace("[limits]", answer)))
    assert setup.roles.grading.grader == NumericGrader(relative=0.01)
    run = setup.run("a", "gsm8k")
    assert run.document()["answer"] == {"rule": "final_line", "grader": "numeric", "settings": {"relative": 0.01}}
    (problem,) = setup.answer.on([Problem.ask(id="p", text="?")])
    assert problem.rule is FINAL_LINE
    assert setup.graded_by(grader="exact").answer == AnswerSettings(rule="final_line", grader="exact")
    assert setup.graded_by(settings={"absolute": 1.0}).answer.settings == {"relative": 0.01, "absolute": 1.0}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('grader = "magic"', "answer.grader: 'magic' is unknown. Use one of choice, exact"),
        ('grader = "numeric"\nrelativ = 1', "answer.relativ: unknown. Known fields: absolute, ignore_units, relative"),
        ('grader = "judge"\nmodel = "gpt"', "answer.model: there is no model 'gpt', only strong, weak"),
    ],
)
def test_a_grader_that_cannot_be_made_is_named_with_its_file(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"steproute.toml: {message}"):
        read_setup(written(tmp_path, WHOLE.replace("[limits]", f"[answer]\n{table}\n[limits]")))


def test_a_judge_is_paid_at_the_price_of_its_model(tmp_path: Path) -> None:
    answer = '[answer]\ngrader = "judge"\nmodel = "weak"\n[limits]'
    roles = read_setup(written(tmp_path, WHOLE.replace("[limits]", answer))).roles
    weak, judge = roles.model("weak"), roles.grading
    assert (judge.role, judge.model, judge.price, judge.limiter) == ("weak", weak.model.name, weak.price, weak.limiter)
    assert judge.is_paid


@dataclass(frozen=True)
class Plain:
    """A grader of a package that does not build itself."""

    word: str = "x"

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        return Grade.of(self.word in solution)


def test_any_class_with_the_method_is_a_grader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(graders._registered, "plain", Plain)
    grader = AnswerSettings(grader="plain", settings={"word": "five"}).graded(lab_roles()).grading.grader
    assert isinstance(grader, Plain)
    assert grader.word == "five"
    with pytest.raises(ConfigError, match=r"answer.words: unknown. Known fields: word"):
        AnswerSettings(grader="plain", settings={"words": "five"}).graded(lab_roles())
