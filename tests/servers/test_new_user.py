"""A new user's way over three real vLLM servers: init, the edits that the template names, doctor, a routed answer."""

import json
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from tests.servers.processes import Running

from steproute.doctor.probe import LAB_PROBE
from steproute.lab.story import generate

pytestmark = pytest.mark.servers
STEPROUTE = str(Path(sys.executable).with_name("steproute"))


def run(folder: Path, *words: str) -> str:
    result = subprocess.run([STEPROUTE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def edited(template: str, servers: dict[str, Running]) -> tuple[str, int]:
    """The template with other values in the lines below its EDIT lines, and how many lines that changed."""
    wanted = {"models.weak": "lab-weak", "models.strong": "lab-strong", "scorers.prm": "lab-prm-place"}
    lines, table, editing, changed = [], "", False, 0
    for line in template.splitlines():
        if found := re.fullmatch(r"\[(\S+)\]", line):
            table = found.group(1)
        if line.startswith("#"):
            editing = line.startswith("# EDIT")
        field = line.partition(" = ")[0] if editing else ""
        server = wanted.get(table, "")
        values = {
            "base_url": servers[server].url if server else "",
            "model": server,
            "problem": LAB_PROBE.problem,
            "right": LAB_PROBE.right,
            "wrong": LAB_PROBE.wrong,
        }
        if field in values:
            line, changed = f"{field} = {json.dumps(values[field])}", changed + 1
        lines.append(line)
    return "\n".join(lines), changed


def test_from_the_template_to_a_routed_answer_by_the_edits_that_it_names(
    vllm_servers: dict[str, Running], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "init", "--template", "vllm")
    config = tmp_path / "steproute.toml"
    text, changed = edited(config.read_text(), vllm_servers)
    config.write_text(text)
    assert changed == 9
    findings = json.loads(run(tmp_path, "doctor", "--json"))
    assert not [finding for finding in findings if finding["severity"] == "failed"], findings
    problem = next(islice(generate("test"), 3, None))
    trace = json.loads(run(tmp_path, "solve", "--json", "--config", "steproute.toml", problem.text))
    assert trace["outcome"] == "answered"
    assert {line["role"] for line in trace["account"]} >= {"weak", "prm"}
    with capsys.disabled():
        print(f"\nnew user: answer {trace['answer']} (right: {problem.answer}) in {len(trace['steps'])} steps")
        for finding in findings:
            print(f"{finding['backend']:15} {finding['check']:32} {finding['severity']:8} {finding['seen']}")
