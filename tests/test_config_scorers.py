"""Scorers out of a configuration: ensembles, language models as judges, confidence; and what doctor says of them."""

import asyncio
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.backends.http.judging import JudgingServer
from tests.config_texts import WRITERS

from steproute.artifacts import write_artifact
from steproute.config import ConfigFile, read_config
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.doctor import Finding, Severity, examine
from steproute.engine.episode import Episode
from steproute.scorers import transformers_prm
from steproute.scorers.calibrated import CalibratedScorer, Temperature
from steproute.scorers.calibration_file import score_map_artifact
from steproute.scorers.confidence import ConfidenceScorer
from steproute.scorers.ensemble import EnsembleScorer
from steproute.scorers.self_evaluation import SelfEvaluationScorer

PAGE = Path(__file__).parents[1] / "docs/how-to/choose-a-scorer.md"
MODELS = f"""{WRITERS}[doctor]
wrong = ["A wrong step.", "Another wrong one."]
"""
JUDGE = """
[scorers.strong]
backend = "self-evaluation"
base_url = "{url}"
model = "m"
price = {{ input = 3, output = 4 }}
[route]
strategy = "specreason"
knob = 0.7
"""
SURE = '[scorers.sure]\nbackend = "confidence"\n'
ENSEMBLE = """
[scorers.first]
backend = "self-evaluation"
base_url = "{url}"
model = "m"
price = {{ input = 3, output = 4 }}
[scorers.second]
backend = "self-evaluation"
base_url = "{url}"
model = "m"
mode = "digit"
price = {{ input = 5, output = 6 }}
[scorers.prm]
backend = "ensemble"
of = ["first", "second"]
combine = "weighted"
weights = [1, 3]
"""


def read(folder: Path, text: str, url: str = "http://127.0.0.1:9/v1") -> ConfigFile:
    path = folder / "steproute.toml"
    path.write_text(text.format(url=url))
    return read_config(path)


def served(folder: Path, text: str) -> tuple[Trace, list[Finding]]:
    """One problem by the file's route, and what doctor finds, over a server that judges."""

    async def run() -> tuple[Trace, list[Finding]]:
        async with JudgingServer(lambda request: None).running() as server:
            config = read(folder, text, server.url)
            episode = Episode(Problem.ask(id="p", text="A riddle."), config.roles(), route="t", limits=config.limits)
            return await episode.run(config.route.strategy_at(0)), await examine(config)

    return asyncio.run(run())


def ill(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is not Severity.OK]


def test_specreason_runs_on_a_language_model_as_the_judge(tmp_path: Path) -> None:
    trace, found = served(tmp_path, MODELS + JUDGE)
    assert trace.answer == "42"
    scoring = [line for line in trace.account if line.purpose is Purpose.SCORE]
    assert [(line.role, line.usage.output_tokens) for line in scoring] == [("strong", 1)] * 4
    assert ill(found) == []
    assert {finding.check for finding in found if finding.backend == "scorers.strong"} == {
        *("one score per step", "scores correct steps higher"),
    }


def test_an_ensembles_members_are_paid_each_at_its_own_price(tmp_path: Path) -> None:
    trace, found = served(tmp_path, MODELS + ENSEMBLE)
    assert trace.steps[0].score == pytest.approx((0.9 / 0.99 + 3 * 8 / 9) / 4)
    scoring = [line for line in trace.account if line.purpose is Purpose.SCORE]
    assert sorted(line.role for line in scoring) == ["first"] * 4 + ["second"] * 4
    for line in scoring:
        prices = {"first": (3, 4), "second": (5, 6)}[line.role]
        paid = Decimal(prices[0] * line.usage.input_tokens + prices[1] * line.usage.output_tokens) / 10**6
        assert line.cost_usd == paid
    assert ill(found) == []


def test_members_keep_their_gates_and_are_made_once(tmp_path: Path) -> None:
    judges = read(tmp_path, MODELS + ENSEMBLE).roles().scorers
    assert judges["prm"].members == {"first": judges["first"], "second": judges["second"]}
    assert isinstance(judges["prm"].scorer, EnsembleScorer)
    assert isinstance(judges["first"].scorer, SelfEvaluationScorer)
    assert judges["first"].limiter is judges["second"].limiter is not None


def test_ensembles_nest_in_any_order(tmp_path: Path) -> None:
    text = MODELS + '[scorers.all]\nbackend = "ensemble"\nof = ["prm", "sure"]\n' + ENSEMBLE
    judges = read(tmp_path, text + '[scorers.sure]\nbackend = "confidence"\nmeasure = "min"\n').roles().scorers
    assert judges["all"].members["prm"] is judges["prm"]
    assert isinstance(judges["sure"].scorer, ConfidenceScorer)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('of = ["first", "second"]\n', "", "scorers.prm: of: is empty"),
        ('["first", "second"]', '"first"', "scorers.prm.of: 'first' is no list"),
        ('["first", "second"]', '["first", "third"]', "'third' is no other scorer of this file. Name some of: first,"),
        ('["first", "second"]', '["first", "prm"]', "'prm' is no other scorer of this file"),
        ('["first", "second"]', '["first", "first"]', "first, first repeats a scorer"),
        ("weights = [1, 3]", "weights = [1]", "scorers.prm: weights: 1 for 2 members"),
        ('"weighted"', '"middle"', "scorers.prm: combine: invalid enum value 'middle'"),
        ("combine", "price = {{ input = 1, output = 1 }}\ncombine", "scorers.prm.price: its members are paid"),
        ("combine", "limiter = {{ in_flight = 2 }}\ncombine", "scorers.prm.limiter: its members are asked"),
        (
            'mode = "digit"',
            'calibration = "none"\nmode = "digit"',
            "scorers.second.calibration: scorer: none holds no calibr",
        ),
        ('mode = "digit"', 'mode = "essay"', "scorers.second: mode: invalid enum value 'essay'"),
    ],
)
def test_invalid_fields_are_named_with_their_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ENSEMBLE
    with pytest.raises((ConfigError, ArtifactError)) as caught:
        read(tmp_path, MODELS + ENSEMBLE.replace(old, new, 1)).roles()
    assert message in str(caught.value)


def test_a_ring_of_ensembles_is_refused(tmp_path: Path) -> None:
    ring = '[scorers.a]\nbackend = "ensemble"\nof = ["b"]\n[scorers.b]\nbackend = "ensemble"\nof = ["a"]\n'
    with pytest.raises(ConfigError, match=r"scorers.b.of: 'a' is no other scorer"):
        read(tmp_path, MODELS + ring).roles()


def test_a_calibration_maps_what_an_ensemble_combines(tmp_path: Path) -> None:
    write_artifact(score_map_artifact(Temperature(0.5), {}), tmp_path / "map")
    text = ENSEMBLE.replace("combine", f'calibration = "{tmp_path}/map"\ncombine')
    trace, _ = served(tmp_path, MODELS + text)
    plain = (0.9 / 0.99 + 3 * 8 / 9) / 4
    assert trace.steps[0].score == pytest.approx(plain**2 / (plain**2 + (1 - plain) ** 2))
    assert isinstance(read(tmp_path, MODELS + text).roles().scorer().scorer, CalibratedScorer)


def test_only_the_lab_gets_the_labs_problem(tmp_path: Path) -> None:
    lab = "".join(f'[models.{role}]\nbackend = "lab"\nname = "lab-{role}"\n' for role in ("weak", "strong"))
    reward = '[scorers.reward]\nbackend = "lab"\n[scorers.prm]\nbackend = "ensemble"\nof = ["reward", "sure"]\n'
    found = asyncio.run(examine(read(tmp_path, lab + SURE + reward + 'combine = "min"\n')))
    assert {finding.check for finding in ill(found)} == {"price"}
    assert {finding.backend for finding in ill(found)} == {"models.weak", "models.strong", "scorers.reward"}


@pytest.mark.parametrize("block", re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_what_the_docs_show_is_a_configuration(tmp_path: Path, block: str) -> None:
    if "transformers-prm" in block:
        pytest.importorskip("transformers")
    (tmp_path / "steproute.toml").write_text(MODELS.format(url="http://127.0.0.1:9/v1") + block)
    config = read_config(tmp_path / "steproute.toml")
    assert config.route.strategy_at(0)
    assert config.roles().scorers.keys() == config.tables["scorers"].keys()


def test_a_missing_package_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_prm, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"scorers.prm: .* pip install 'steproute\[prm\]'"):
        read(tmp_path, MODELS + '[scorers.prm]\nbackend = "transformers-prm"\nmodel = "m"\n').roles()


def test_no_package_of_an_extra_is_imported_before_it_is_used() -> None:
    code = "import sys, steproute.doctor, steproute.scorers.transformers_prm\nprint('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("edits", "faults", "check", "remedy"),
    [
        ([], {"gives_logprobs": False}, "answers", "Use mode = 'digit'"),
        ([], {"words": ("Let", "me")}, "answers", "or use mode = 'digit'"),
        ([("[route]", 'mode = "digit"\n[route]')], {"words": ("good", "bad")}, "answers", "or use mode = 'yes-no'"),
        (
            [("[route]", 'mode = "digit"\n[route]')],
            {"words": ("1", "8")},
            "scores correct steps higher",
            "upside down",
        ),
        ([("scorers.strong", "scorers.other")], {}, "roles", "a policy that reads no scores"),
    ],
)
def test_doctor_finds_the_faults_of_a_judge(
    tmp_path: Path, edits: list[tuple[str, str]], faults: dict[str, Any], check: str, remedy: str
) -> None:
    text = MODELS + JUDGE
    for old, new in edits:
        text = text.replace(old, new)

    async def run() -> list[Finding]:
        async with JudgingServer(lambda request: None, **faults).running() as server:
            return await examine(read(tmp_path, text, server.url))

    found = ill(asyncio.run(run()))
    assert any(finding.check == check and remedy in finding.remedy for finding in found), found
