"""A searching strategy in an environment that answers: an interrupted run equals an undisturbed one."""

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.timeless import timeless
from tests.plugin_packages import publish, steproute

from steproute import Purpose, Usage
from steproute.core.trace import Trace
from steproute.engine.trace_file import read_traces

PARTS = '''
import os
import signal
from dataclasses import dataclass, replace

from steproute import Accept, Response
from steproute.core.ports import Needs, Policy
from steproute.lab.models import LabPrm

signal.signal(signal.SIGINT, signal.default_int_handler)  # which the children of a background job ignore
ANSWERS_LEFT = [int(os.environ.get("ANSWERS", "1000000"))]


class Reminder:
    """Repeats every other step. After so many answers, it sends its own process a signal."""

    async def respond(self, prefix):
        ANSWERS_LEFT[0] -= 1
        if ANSWERS_LEFT[0] == 0:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        newest = prefix.steps[-1].text
        return Response(text=newest, reward=1.0) if len(prefix.written) % 2 else Response(reward=0.0)


class OwnSteps(LabPrm):
    """The lab's verifier of what models wrote, without the environment's answers."""

    async def score(self, prefix, meter=None):
        own = [replace(step, text=step.text.partition(prefix.separator)[0]) for step in prefix.steps]
        return await super().score(replace(prefix, steps=tuple(own)), meter)


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Keeps the best branch of two drafts from each of two; strong writes on if the policy rejects it."""

    policy: Policy

    @property
    def needs(self):
        return Needs(scorers=("prm",))

    async def solve(self, episode):
        branches = [episode.start()]
        while not branches[0].finished:
            drafts = await episode.propose_many("weak", branches, 2)
            pairs = [(branch, draft) for branch, some in zip(branches, drafts) for draft in some]
            longer = [await episode.extend(*pair) for pair in pairs]
            scores = await episode.score_many(longer)
            ranked = sorted(range(len(longer)), key=lambda number: scores[number][-1], reverse=True)
            best = ranked[0]
            episode.commit(pairs[best][0])
            if await episode.decide(self.policy, pairs[best][1], scores[best]) == Accept():
                branches = [longer[number] for number in ranked[:2]]
            else:
                draft = await episode.propose("strong", pairs[best][0], replacing=pairs[best][1])
                branches = [await episode.accept(draft)]
        episode.commit(branches[0])
'''
CONFIG = """
[models.weak]
backend = "lab"
name = "lab-weak"
price = { input = 1, output = 2 }
[models.strong]
backend = "lab"
name = "lab-strong"
price = { input = 10, output = 20 }
[scorers.prm]
backend = "own-steps"
price = { input = 1, output = 1 }
[roles]
environment = "reminder"
[route]
strategy = "beam"
"""
EVAL = ("eval", "--config", "steproute.toml", "--data", "lab", "--problems", "4", "--seeds", "0,1", "--knobs", "0.9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "search_parts.py").write_text(PARTS)
    (tmp_path / "steproute.toml").write_text(CONFIG)
    kinds = {"environments.reminder": "Reminder", "scorers.own-steps": "OwnSteps", "strategies.beam": "Beam"}
    groups = {}
    for kind, name in kinds.items():
        group, _, part = kind.partition(".")
        groups[f"steproute.{group}"] = {part: f"search_parts:{name}"}
    publish(tmp_path, "search-parts", groups)
    return tmp_path


def run(folder: Path, runs: str) -> "subprocess.CompletedProcess[str]":
    return steproute(folder, *EVAL, "--baselines", "", "--in-flight", "3", "--name", "run", "--runs", runs)


def outcome(folder: Path, runs: str) -> tuple[dict[str, Any], list[Trace]]:
    """The summary, and the traces that count, without what a clock decides."""
    done = run(folder, runs)
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / runs / "run/summary.json").read_text())
    traces = [each for each in read_traces(folder / runs / "run/traces.jsonl.zst") if not each.failed]
    return timeless(summary), sorted(
        map(without_time, traces), key=lambda each: (each.route, each.problem_id, each.seed)
    )


def without_time(trace: Trace) -> Trace:
    """Two drafts from one prefix end in any order; the second one reads the prompt from the cache of the first."""
    lines = [replace(line, latency_s=0.0, wait_s=0.0, usage=uncached(line.usage)) for line in trace.account]
    return replace(trace, latency_s=0.0, account=tuple(sorted(lines, key=repr)))


def uncached(usage: Usage) -> Usage:
    return Usage(input_tokens=usage.read_tokens, output_tokens=usage.output_tokens)


def purposes(traces: Sequence[Trace]) -> set[Purpose]:
    return {line.purpose for trace in traces for line in trace.account}


def test_an_interrupted_search_in_an_environment_ends_with_the_same_summary_and_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, traces = outcome(folder, "undisturbed")
    searched = [trace for trace in traces if trace.route.startswith("beam")]
    assert {step.role for trace in searched for step in trace.steps} == {"weak", "strong", "environment"}
    assert purposes(searched) == {Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.SCORE}
    for number, answers in ((signal.SIGKILL, 20), (signal.SIGINT, 8)):
        monkeypatch.setenv("SIGNAL", str(int(number)))
        monkeypatch.setenv("ANSWERS", str(answers))
        assert run(folder, "interrupted").returncode in (-number, 128 + number)
    monkeypatch.delenv("ANSWERS")
    assert outcome(folder, "interrupted") == (summary, traces)
