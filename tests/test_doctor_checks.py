"""Each check of `doctor` by itself: what it asks for, what it leaves alone, and that nothing else would find it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backends.http.hostile import Asked, Fault
from tests.config_texts import WRITERS
from tests.patients import CLAUDE, CONFIG, Claude, Patient, diagnose, ill

from steproute.artifacts import Artifact, write_artifact
from steproute.backends.openai.settings import Continuation
from steproute.config import read_config
from steproute.core.errors import ConfigError
from steproute.doctor import Finding, Severity, examination, examine
from steproute.doctor.finding import other_mode
from steproute.engine import metering
from steproute.policies.mixture import BudgetCurve
from steproute.policies.stored import AGG, AGG_CONFIDENCE, mixture_artifact, network_artifact
from steproute.policies.trim.agg import AggNetwork
from steproute.policies.trim.learned import LearnedFamily

SURE = '[scorers.sure]\nbackend = "confidence"\n'
PRM = SURE.replace("sure", "prm")
ENSEMBLE = '[scorers.prm]\nbackend = "ensemble"\nof = ["other", "sure"]\ncombine = "min"\n'
THIRD = '[models.third]\nbackend = "openai"\nbase_url = "{url}"\nmodel = "m"\ntemplate = "none"\n'
OTHER = '[scorers.other]\nbackend = "vllm-pooling"\nbase_url = "{url}"\nmodel = "m"\n'
BOTH = {"models.weak", "models.strong"}


@pytest.mark.parametrize(
    ("scorers", "route", "readers"),
    [
        (PRM, "policy = 'threshold'", BOTH),
        (SURE + OTHER + ENSEMBLE, "policy = 'threshold'", BOTH),
        (PRM, "policy = 'confidence'", {"models.weak"}),
        ("", "policy = 'first-token-entropy'", {"models.weak"}),
        (PRM, "policy = 'random'", set()),
        (SURE + OTHER.replace("other", "prm"), "policy = 'threshold'", set()),
        (SURE + OTHER.replace("other", "strong"), "strategy = 'specreason'", set()),
        (PRM, "policy = 'nosuch'", set()),
    ],
)
def test_log_probabilities_are_required_only_if_the_route_reads_them(
    tmp_path: Path, scorers: str, route: str, readers: set[str]
) -> None:
    findings = diagnose(tmp_path, Patient(), config=f"{WRITERS}{THIRD}{scorers}[route]\n{route}\n")
    assert {each.backend for each in findings if each.check == "log-probabilities"} == readers


def _agg(inputs: int) -> Artifact:
    """A network without blocks, which always accepts."""
    weights = {
        "blocks.0.weight": np.eye(inputs),
        "logits.weight": np.zeros((2, inputs)),
        "logits.bias": np.array([1.0, 0]),
    }
    weights |= {"blocks.0.bias": np.zeros(inputs), "blocks.0.gain": np.ones(inputs), "blocks.0.shift": np.zeros(inputs)}
    family = LearnedFamily(AggNetwork(weights), 1e-3, 1e-1)
    return network_artifact(AGG_CONFIDENCE if inputs == 8 else AGG, family, {})


def _mixture(policy: str) -> Artifact:
    knobs = (1e-3, 1e-1) if "/" in policy else (0.1, 0.9)
    curve = BudgetCurve(axis="tokens", knobs=knobs, costs=(1.0, 2.0))
    return mixture_artifact(curve, 1.5, 0.5, 1.0, policy, {}, Path(policy) if "/" in policy else None)


@pytest.mark.parametrize("knob", [0.01, 0.5])
@pytest.mark.parametrize(
    ("made", "reads"),
    [
        (lambda folder: _agg(8), True),
        (lambda folder: _agg(6), False),
        (lambda folder: _mixture("confidence"), True),
        (lambda folder: _mixture("threshold"), False),
        (lambda folder: (write_artifact(_agg(8), folder / "agg"), _mixture(f"{folder}/agg"))[1], True),
        (lambda folder: (write_artifact(_agg(6), folder / "agg"), _mixture(f"{folder}/agg"))[1], False),
    ],
)
def test_a_folder_reads_log_probabilities_if_its_artefact_says_so(
    tmp_path: Path, made: Callable[[Path], Artifact], reads: bool, knob: float
) -> None:
    write_artifact(made(tmp_path), tmp_path / "any-name")
    route = f'[route]\npolicy = "{tmp_path}/any-name"\nknob = {knob}\n'
    findings = diagnose(tmp_path, Patient(), config=CONFIG + route)
    asked = [each for each in findings if each.check == "log-probabilities"]
    assert [(each.backend, each.severity) for each in asked] == ([("models.weak", Severity.FAILED)] if reads else [])


def test_claude_may_be_strong_beside_a_weak_model_whose_log_probabilities_decide(tmp_path: Path) -> None:
    async def run() -> list[Finding]:
        async with Patient().running() as patient, Claude().running() as claude:
            weak = WRITERS.partition("[models.strong]")[0].format(url=patient.url) + "logprobs = 5\n"
            path = tmp_path / "steproute.toml"
            path.write_text(weak + CLAUDE.format(url=claude.url) + "[route]\npolicy = 'confidence'\n")
            return await examine(read_config(path))

    assert ill(asyncio.run(run())) == []


@pytest.mark.parametrize(
    ("old", "new", "remedy"),
    [
        ("price = {{ input = 1, output = 2 }}", "price = {{ input = 1 }}", "Correct [models.weak]."),
        ('template = "none"', 'template = "none"\nread_s = 0', "Correct [models.weak]."),
        ('template = "none"', 'template = "none"\nlogprobs = 30', "Correct [models.weak]."),
        ('template = "none"', 'template = "none"\ncolour = 3', "Known fields: "),
        ('template = "none"', 'template = "none"\nsampling = {{ temperature = "hot" }}', "Correct [models.weak]."),
        ('template = "none"', 'template = "none"\nlimiter = {{ in_flight = 0 }}', "1 or more."),
    ],
)
def test_a_mistake_in_the_file_is_not_looked_for_on_a_server(tmp_path: Path, old: str, new: str, remedy: str) -> None:
    assert old in CONFIG
    (found,) = ill(diagnose(tmp_path, Patient(), config=CONFIG.replace(old, new, 1)))
    assert (found.backend, found.check) == ("models.weak", "answers")
    assert remedy in found.remedy


def test_a_missing_calibration_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    (found,) = ill(diagnose(tmp_path, Patient(), config=CONFIG + 'calibration = "nowhere"\n'))
    assert (found.backend, found.check, found.remedy) == ("scorers.prm", "answers", "Correct [scorers.prm].")


def test_thoughts_that_leave_no_tokens_are_a_mistake_in_the_file(tmp_path: Path) -> None:
    config = CLAUDE + 'thinking = "hide"\nthinking_budget = 2048\nsampling = {{ max_tokens = 2048 }}\n'
    found = [each for each in ill(diagnose(tmp_path, Claude(), config=config)) if each.backend != "route"]
    assert [(each.check, each.remedy) for each in found] == [
        ("answers", "Lower it, or raise sampling.max_tokens or the problem's budget.")
    ]


@pytest.mark.parametrize(
    "probe", ["right = []", "wrong = []", 'right = ["Tom has 7.", " "]', "problem = ''"], ids=lambda probe: probe
)
def test_a_probe_that_asks_nothing_is_refused_by_name(tmp_path: Path, probe: str) -> None:
    field = probe.partition(" ")[0]
    with pytest.raises(ConfigError, match=rf"steproute.toml: doctor.{field}: .*Give"):
        diagnose(tmp_path, Patient(), config=f"{CONFIG}[doctor]\n{probe}\n")


CONTINUES = "continues a half-written answer"


@pytest.mark.parametrize(
    ("fault", "check", "severity", "seen", "remedy"),
    [
        ("never ends a step", "ends a step", Severity.FAILED, "256 tokens without a separator", "Ask for blank lines"),
        ("has a small context", "model", Severity.WARNING, "context of 2047 tokens", "context_overflow"),
        ("writes one step", CONTINUES, Severity.WARNING, "the first step ended the solution", "a longer problem"),
        ("wanders", CONTINUES, Severity.FAILED, "after its own first step it writes 'Cats purr.'", "continuation mode"),
    ],
)
def test_a_model_that_does_not_do_its_part_is_found(
    tmp_path: Path, fault: str, check: str, severity: Severity, seen: str, remedy: str
) -> None:
    found = ill(diagnose(tmp_path, Patient(fault)))
    assert any(
        (each.check, each.severity) == (check, severity) and seen in each.seen and remedy in each.remedy
        for each in found
    ), found


def test_a_step_without_an_end_is_not_taken_for_the_solutions_last(tmp_path: Path) -> None:
    assert CONTINUES not in {each.check for each in diagnose(tmp_path, Patient("never ends a step"))}


def test_a_model_that_starts_over_is_found_without_greedy_sampling(tmp_path: Path) -> None:
    config = CLAUDE + 'continuation = "prefill"\n'
    found = ill(diagnose(tmp_path, Claude("ignores the prefill"), config=config))
    (over,) = [each for each in found if each.check == CONTINUES]
    assert (over.severity, over.seen) == (Severity.FAILED, "it starts over: 'Step 1: so then'")
    assert "continuation mode" in over.remedy


class Passing(Patient):
    """Every request fails with 500 the first time that it comes."""

    def __init__(self) -> None:
        super().__init__()
        seen: set[str] = set()

        def decide(request: Asked) -> Fault | None:
            known = len(seen)
            seen.add(request.path + json.dumps(request.body, sort_keys=True))
            return Fault.SERVER_ERROR if len(seen) > known else None

        self.decide = decide


def test_a_failure_that_may_pass_is_tried_again_as_the_limits_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.0)
    assert ill(diagnose(tmp_path, Passing())) == []
    found = ill(diagnose(tmp_path, Passing(), config=f"{CONFIG}[limits]\nretries = 0\n"))
    assert {each.backend for each in found if each.severity is Severity.FAILED} == {
        "models.weak",
        "models.strong",
        "scorers.prm",
    }


class Forgetful(Patient):
    """Begins the solution again, however often it is told to go on."""

    def _said(self, body: dict[str, Any]) -> str:
        return ""


def test_the_remedy_for_a_model_that_starts_over_is_never_its_own_mode(tmp_path: Path) -> None:
    instruct = ('template = "none"', 'continuation = "instruct"')
    found = [each for each in ill(diagnose(tmp_path, Forgetful(), instruct)) if each.backend.startswith("models.")]
    over = [each for each in found if "starts the solution over" in each.seen or "starts over" in each.seen]
    assert len(over) == 2, found
    assert all("follows instructions" in each.remedy and ": instruct" not in each.remedy for each in over)


@pytest.mark.parametrize("mode", list(Continuation))
def test_no_remedy_names_the_mode_that_failed_alone(mode: str) -> None:
    assert ("instruct)" in other_mode(mode)) == (mode != "instruct")


def test_a_backend_that_does_not_answer_in_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_DEADLINE_S", 0.5)
    found = [each for each in diagnose(tmp_path, Patient("hangs")) if each.backend == "models.weak"]
    assert [(each.check, each.severity) for each in found] == [("model", Severity.OK), ("answers", Severity.FAILED)]
    assert found[1].seen == "not within 0.5 s"
