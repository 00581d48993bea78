"""Every command on a user's own models and data: three vLLM servers, one llama.cpp server, a file of problems.

STEPROUTE_SERVERS_FULL=1 takes three times as many problems and calibrates, too, which needs some hundred: half an hour.
"""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.servers.lab_on_vllm import CONFIG
from tests.servers.processes import Running
from tests.servers.test_llama_cpp import gguf, home, llama_server

from steproute.lab.story import generate

__all__ = ["gguf", "home", "llama_server"]

pytestmark = pytest.mark.servers
STEPROUTE = str(Path(sys.executable).with_name("steproute"))
FULL = bool(os.environ.get("STEPROUTE_SERVERS_FULL"))
PROBLEMS = 60 if FULL else 20
MID = """
[models.mid]
backend = "openai"
kind = "llama-cpp-python"
base_url = "{mid}"
model = "smollm2"
template = "none"
stop = "client"
sampling = {{ max_tokens = 16 }}
price = {{ input = "0.02", output = "0.04" }}
"""
HERE = """
[models.weak]
backend = "lab"
name = "lab-weak"
price = { input = "0.05", output = "0.20" }
sampling = { temperature = 0.7, top_p = 1.0, top_k = 0 }
[models.strong]
backend = "lab"
name = "lab-strong"
price = { input = "1.00", output = "4.00" }
sampling = { temperature = 0.7, top_p = 1.0, top_k = 0 }
[scorers.prm]
backend = "lab"
name = "lab-prm-place"
price = { input = "0.05", output = 0 }
"""


@pytest.fixture
def folder(tmp_path: Path, vllm_servers: dict[str, Running], llama_server: Running) -> Path:
    rows = ({"problem": each.text, "answer": each.answer, "id": each.id} for each in generate("validation"))
    lines = [json.dumps(row) for row in islice(rows, 260)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines[:PROBLEMS]))
    (tmp_path / "more.jsonl").write_text("\n".join(lines))
    servers = CONFIG.format(**{name: each.url for name, each in vllm_servers.items()})
    servers = servers.replace('template = "none"\n', 'template = "none"\nlogprobs = 5\n')
    (tmp_path / "servers.toml").write_text(servers + MID.format(mid=llama_server.url))
    (tmp_path / "here.toml").write_text(HERE)
    return tmp_path


def run(folder: Path, words: str) -> str:
    result = subprocess.run([STEPROUTE, *words.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
    return result.stdout


def summary(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / name / "summary.json").read_text())
    return found


def overlap(one: list[float], other: list[float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def test_every_command_takes_own_servers_and_own_problems(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for where in ("servers", "here"):
        words = f"--config {where}.toml --data own.jsonl"
        run(folder, f"eval {words} --knobs 0,0.5,1 --baselines= --name eval-{where}")
        pomdp = f"train --policy pomdp {words} --out runs/pomdp-{where} --tree runs/tree-{where}.zst"
        run(folder, pomdp)
        agg = f"train --policy agg {words} --passes 2 --out runs/agg-{where} --tree runs/tree-{where}.zst"
        calls = run(folder, agg).split(" s  ")[-1].split(",")[0]
        if FULL:
            half = f"--config {where}.toml --data more.jsonl --knobs 0.2,0.8 --name budget-{where}"
            lines.append(run(folder, f"calibrate --policy threshold --budget 0.4 {half}"))
        alone = ",single:mid" if where == "servers" else ""
        policies = f"threshold,runs/agg-{where},runs/pomdp-{where},confidence,automix-prm:threshold{alone}"
        run(folder, f"compare --policies {policies} {words} --name compare-{where}")
        found = summary(folder, f"compare-{where}")
        assert found["problems"] == PROBLEMS
        assert found["failed"] == 0
        assert found["paid_usd"] < found["spent_usd"] / 2, "the step tree saves more than half of the bill"
        lines.append(f"{where}: billed ${found['spent_usd']:.4f}, paid ${found['paid_usd']:.4f}, {calls}")
    one, other = summary(folder, "eval-servers"), summary(folder, "eval-here")
    for first, second in zip(
        (one["weak"], *one["points"], one["strong"]), (other["weak"], *other["points"], other["strong"]), strict=True
    ):
        assert overlap(first["accuracy_ci95"], second["accuracy_ci95"])
        pair = f"{first['accuracy']:.3f} and {second['accuracy']:.3f}"
        lines.append(f"knob {first['knob']}: accuracy {pair}, ${first['cost_usd']:.6f} and ${second['cost_usd']:.6f}")
    with capsys.disabled():
        print("", *lines, sep="\n")
