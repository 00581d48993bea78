"""Misconfigurations planted one by one against a server on loopback: each is found, and its remedy named."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.patients import CLAUDE, Claude, Patient, diagnose, ill

STEPROUTE = str(Path(sys.executable).with_name("steproute"))


def test_a_healthy_setup_has_no_findings(tmp_path: Path) -> None:
    findings = diagnose(tmp_path, Patient())
    assert ill(findings) == []
    assert len(findings) == 1 + 2 * 4 + 3


ONE_STEP = ('template = "none"', 'kind = "openai"\ncontinuation = "instruct"\nstop = "client"')
CHAT = ('template = "none"', 'continuation = "continue_final_message"\ninstructions = ""')


@pytest.mark.parametrize(
    ("fault", "edits", "check", "remedy"),
    [
        ("", [("127.0.0.1", "127.0.0.2")], "answers", "Start the server, and check base_url's host and port"),
        ("", [("/v1", "/v2")], "model", "Does base_url end in /v1?"),
        ("", [('model = "m"\ntemplate', 'model = "n"\ntemplate')], "model", "Set model to one of m"),
        ("", [("template", 'api_key_env = "NO_SUCH_KEY"\ntemplate')], "answers", "Set it to the key."),
        ("wrong key", [], "answers", "the variable that api_key_env names"),
        ("ignores continuation", [CHAT], "continues a half-written answer", "Choose a continuation mode"),
        ("trims", [CHAT], "continues a half-written answer", 'set stop = "client"'),
        ("ignores stop", [], "ends a step", 'Set stop = "client"'),
        ("ignores stop", [("template", 'stop = "client"\ntemplate')], "", ""),
        ("sends a little more", [], "", ""),
        ("writes on", [ONE_STEP], "", ""),
        ("wrong marker", [], "answers", "Set marker to the step tag"),
        ("blind", [], "scores correct steps higher", "Check text and marker against the model card"),
        ("upside down", [], "scores correct steps higher", "upside down"),
        ("places only", [], "chooses among candidates", "not to pick one of several candidates"),
        (
            "places only",
            [("[scorers.prm]", "[route]\nstrategy = 'beam'\n[scorers.prm]")],
            "chooses among candidates",
            "the more mistakes of this scorer are chosen",
        ),
        ("", [("price = { input = 1, output = 2 }\n", "")], "price", "Set price ="),
        ("", [("[scorers.prm]", "[route]\npolicy = 'confidence'\n[scorers.prm]")], "log-probabilities", "Set logprobs"),
        ("no usage", [], "token counts", "Have the server send usage"),
        ("", [("[scorers.prm]", "[scorers.other]")], "roles", "a policy that reads no scores"),
        ("", [("[scorers.prm]", "[route]\nstrategy = 'automix-prm'\n[scorers.other]")], "roles", "reads no scores"),
        (
            "",
            [("[scorers.prm]", "[route]\nstrategy = 'nosuch'\n[scorers.prm]")],
            "policy",
            "Use one of arbitrage-oracle, automix",
        ),
    ],
)
def test_a_planted_misconfiguration_is_found(
    tmp_path: Path, fault: str, edits: list[tuple[str, str]], check: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    patient = Patient(fault)
    patient.reports_usage = fault != "no usage"
    found: Any = ill(diagnose(tmp_path, patient, *edits))
    if not check:
        assert found == []
        return
    assert any(check == each.check and remedy in each.remedy for each in found), found


PREFILL = ('model = "m"', 'model = "m"\ncontinuation = "prefill"')


@pytest.mark.parametrize(
    ("fault", "edits", "check", "remedy"),
    [
        ("", [], "", ""),
        ("", [('model = "m"', 'model = "c-4-5"')], "", ""),
        ("", [PREFILL], "token counts", "take all costs for estimates"),
        ("", [PREFILL, ("price", 'sampling_fields = ["temperature"]\nprice')], "token counts", "take all costs"),
        ("refuses prefill", [PREFILL], "answers", "Use 'instruct'."),
        ("thinks", [('model = "m"', 'model = "m"\nthinking = "hide"')], "", ""),
        ("thinks", [], "answers", "Set thinking = 'hide'"),
        ("wrong key", [], "answers", "the variable that api_key_env names"),
        ("", [('model = "m"', 'model = "n"')], "model", "Set model to one of m, c-4-5, c-4-5-20250929"),
        ("", [('model = "m"', 'model = "m"\ncontinuation = "completions"')], "answers", "Use 'instruct' or 'prefill'."),
        ("no package", [], "answers", "pip install 'steproute[anthropic]'"),
    ],
)
def test_doctor_finds_the_faults_of_claude(
    tmp_path: Path, fault: str, edits: list[tuple[str, str]], check: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "no package":
        monkeypatch.setitem(sys.modules, "anthropic", None)
    findings = ill(diagnose(tmp_path, Claude(fault), *edits, config=CLAUDE))
    found: Any = [each for each in findings if each.backend == "models.strong"]
    assert [each.check for each in found] == ([check] if check else []), found
    assert all(remedy in each.remedy for each in found), found


def test_the_probes_state_their_answers_by_the_files_rule(tmp_path: Path) -> None:
    patient = Patient()
    assert ill(diagnose(tmp_path, patient, ("[scorers.prm]", '[answer]\nrule = "final_line"\n[scorers.prm]'))) == []
    judged = [request.body["input"] for request in patient.asked if request.path.endswith("/pooling")]
    assert not any("boxed" in text for text in judged)
    assert any("so the answer is 7." in text for text in judged)
    assert all('your final answer on a line that begins with "Final answer:".<|im_end|>' in text for text in judged)


def run(folder: Path, *words: str, code: int = 0) -> str:
    result = subprocess.run([STEPROUTE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def test_init_doctor_and_solve_on_the_lab(tmp_path: Path) -> None:
    assert "steproute doctor" in run(tmp_path, "init")
    run(tmp_path, "init", code=2)
    assert "scores correct steps higher" in " ".join(run(tmp_path, "doctor", "--json").split())
    run(tmp_path, "eval", "--config", "steproute.toml", "--problems", "3", "--knobs", "0.5", "--baselines", "")
    with (tmp_path / "steproute.toml").open("a") as file:
        file.write("[models.third]\nbackend = 'openai'\nbase_url = 'http://127.0.0.1:9/v1'\nmodel = 'm'\n")
    assert "Start the server" in " ".join(run(tmp_path, "doctor", "--json", code=1).split())


def test_warnings_alone_leave_the_exit_code_0(tmp_path: Path) -> None:
    run(tmp_path, "init")
    path = tmp_path / "steproute.toml"
    path.write_text(re.sub(r"^price = .*\n", "", path.read_text(), flags=re.MULTILINE))
    verdicts = {finding["severity"] for finding in json.loads(run(tmp_path, "doctor", "--json"))}
    assert verdicts == {"ok", "warning"}


def test_a_new_user_gets_a_routed_answer_from_the_template(tmp_path: Path) -> None:
    async def follow() -> tuple[str, str]:
        async with Patient().running() as patient:
            run(tmp_path, "init", "--template", "vllm")
            lines = (tmp_path / "steproute.toml").read_text().splitlines()
            for at, line in enumerate(lines):
                if line.startswith("# EDIT: where"):
                    lines[at + 1], lines[at + 2] = f'base_url = "{patient.url}"', 'model = "m"'
            (tmp_path / "steproute.toml").write_text("\n".join(lines))
            examined = await asyncio.to_thread(run, tmp_path, "doctor", "--json")
            words = ("solve", "--config", "steproute.toml", "--json", "A riddle.")
            return examined, await asyncio.to_thread(run, tmp_path, *words)

    examined, solved = asyncio.run(follow())
    assert '"failed"' not in examined
    assert '"answer":"42"' in solved


def test_a_new_user_of_claude_gets_an_answer_from_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-a-test")

    async def follow() -> tuple[str, str]:
        async with Patient().running() as patient, Claude().running() as claude:
            run(tmp_path, "init", "--template", "anthropic")
            text = (tmp_path / "steproute.toml").read_text().replace("knob = 0.5", "knob = 0.99")
            text = text.replace("https://api.anthropic.com", claude.url)
            text = re.sub(r'"http://127.0.0.1:800\d/v1"', f'"{patient.url}"', text)
            text = re.sub(r'^model = ".*"$', 'model = "m"', text, flags=re.MULTILINE)
            (tmp_path / "steproute.toml").write_text(text)
            examined = await asyncio.to_thread(run, tmp_path, "doctor", "--json")
            words = ("solve", "--config", "steproute.toml", "--json", "A riddle.")
            return examined, await asyncio.to_thread(run, tmp_path, *words)

    examined, solved = asyncio.run(follow())
    assert {finding["severity"] for finding in json.loads(examined)} == {"ok"}
    trace = json.loads(solved.splitlines()[-1])
    assert trace["answer"] == "42"
    assert {step["role"] for step in trace["steps"]} == {"strong"}
