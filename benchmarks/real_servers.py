"""Problems a minute and latency over real servers: lockstep, stepwise and pipelined, in turn, round by round.

With --config over the servers of a steproute.toml; without, over three vLLM servers on loopback with the lab's models,
which it starts (run from the repository with PYTHONPATH=. after `make test-servers`). `prm_s` is what a scoring call is
made to wait beside the server's own time, as if the reward model were larger or farther away. JSON lines on stdout, a
table on stderr. `client` is this process's CPU time as a share of wall time: engine, HTTP and JSON.

--heavy-tailed has vLLM generate as many tokens a step as `SimWorld` draws for real models (log-normal, mean 60, spread
0.72, not below 32, which holds every step of the lab); what stands after the step itself is thrown away.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import log
from pathlib import Path
from random import Random

import numpy as np
from lockstep import Lockstep

from steproute.backends.openai.model import OpenAiModel
from steproute.config import read_config
from steproute.core.ports import StepModel, StepScorer, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.datasets import load_problems
from steproute.policies.trim.threshold import Threshold
from steproute.simulation.world import SimWorld
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

POLICY = Threshold(0.5)
ROUTES: dict[str, Callable[[], Strategy[Episode]]] = {
    "lockstep": lambda: Lockstep(policy=POLICY),
    "stepwise": lambda: Stepwise(policy=POLICY),
    "pipelined": lambda: Pipelined(policy=POLICY),
}


class HeavyTailed:
    """A model on vLLM that generates a drawn number of tokens for each step, and gives the step alone."""

    def __init__(self, model: StepModel, world: SimWorld) -> None:
        assert isinstance(model, OpenAiModel)
        settings = replace(model.settings, extra={**model.settings.extra, "ignore_eos": True})
        self.name, self._model, self._world = model.name, OpenAiModel(model.name, settings), world

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        world = self._world
        mean_log = log(world.step_tokens) - world.step_spread**2 / 2
        tokens = max(32, round(Random(sampling.seed).lognormvariate(mean_log, world.step_spread)))
        (draft,) = await self._model.propose(prefix, 1, replace(sampling, stop=None, max_tokens=tokens), meter)
        text = draft.text.lstrip("\n").partition("\n\n")[0]
        answered = re.match(r".*?\\boxed\{[^}]*\}", text, re.DOTALL)
        return [replace(draft, text=answered[0] if answered else text, stop=Stop.SEPARATOR)]


class Farther:
    """A scorer whose answers take so many seconds more."""

    def __init__(self, scorer: StepScorer, seconds: float) -> None:
        self.name, self._scorer, self._seconds = scorer.name, scorer, seconds

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        await asyncio.sleep(self._seconds)
        scores = await self._scorer.score(prefix, meter)
        return replace(scores, latency_s=scores.latency_s + self._seconds)


def solve(route: str, roles: Roles, problems: list[Problem], in_flight: int, seed: int) -> dict[str, float]:
    """One round of one route."""
    plan, settings = Route(name=route, strategy=ROUTES[route](), seed=seed), RunSettings(in_flight=in_flight)
    with tempfile.TemporaryDirectory() as folder, TraceFile(Path(folder) / "traces.jsonl.zst") as file:
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(run([(plan, problem) for problem in problems], roles, settings, file))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        traces = [trace for problem in problems if (trace := file.get(plan.name, problem.id, seed)) is not None]
    return measured(traces, problems, wall) | {"client": cpu / wall}


def measured(traces: list[Trace], problems: list[Problem], wall: float) -> dict[str, float]:
    """What a row of the table says."""
    failures = [trace.error for trace in traces if trace.failed]
    assert not failures, failures[0]
    answers = {problem.id: problem.answer for problem in problems}
    lines = [line for trace in traces for line in trace.account]
    call_s = {
        role: statistics.mean(line.latency_s for line in lines if line.role == role and line.purpose in purposes)
        for role, purposes in {"prm": (Purpose.SCORE,), "weak": (Purpose.ACCEPTED, Purpose.DISCARDED)}.items()
    }
    p50, p95 = np.percentile([trace.latency_s for trace in traces], [50, 95])
    return {
        "problems_per_minute": 60 * len(traces) / wall,
        "p50_s": float(p50),
        "p95_s": float(p95),
        "steps_per_s": sum(len(trace.steps) for trace in traces) / wall,
        "accuracy": statistics.mean(trace.answer == answers[trace.problem_id] for trace in traces),
        "cancelled_weak_tokens": statistics.mean(t.generated_tokens("weak", Purpose.CANCELLED) for t in traces),
        "scoring_to_weak_step": call_s["prm"] / call_s["weak"],
        "wait_s": statistics.mean(line.wait_s for line in lines),
    }


def compare(config: Path, asked: argparse.Namespace, prm_s: float, in_flight: int) -> None:
    """Rounds of all routes in turn, after a round that does not count, and their table."""
    problems = load_problems(asked.data, asked.problems, 0)
    rows: dict[str, list[dict[str, float]]] = {route: [] for route in ROUTES}
    for number in range(asked.rounds + 1):
        for route in ROUTES:
            roles = read_config(config).roles()
            judge = roles.scorer()
            roles = replace(roles, scorers={"prm": replace(judge, scorer=Farther(judge.scorer, prm_s))})
            if asked.heavy_tailed:
                heavy = {r: replace(w, model=HeavyTailed(w.model, SimWorld())) for r, w in roles.models.items()}
                roles = replace(roles, models=heavy)
            row = solve(route, roles, problems[: None if number else 16], in_flight, number)
            if number:
                rows[route].append(row)
                told = {"route": route, "prm_s": prm_s, "in_flight": in_flight, "seed": number, **row}
                print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in told.items()}), flush=True)
    table(f"{in_flight} in flight, scoring {1000 * prm_s:g} ms farther away", rows)


def table(title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    """Medians over rounds, and the median ratios, round by round."""
    heads = ("problems/min", "vs lockstep", "p50 s", "p95 s", "vs stepwise", "scoring/step", "steps/s", "client")
    print(f"\n{title}\n{'':12}  {'  '.join(heads)}", file=sys.stderr)
    for route, rounds in rows.items():
        middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
        pairs = zip(rounds, rows["lockstep"], rows["stepwise"], strict=True)
        ratios = [(r["problems_per_minute"] / a["problems_per_minute"], r["p50_s"] / b["p50_s"]) for r, a, b in pairs]
        cells = (
            f"{middle['problems_per_minute']:.0f}",
            f"{statistics.median(faster for faster, _ in ratios):.2f}x",
            f"{middle['p50_s']:.2f}",
            f"{middle['p95_s']:.2f}",
            f"{statistics.median(sooner for _, sooner in ratios) - 1:+.0%}",
            f"{middle['scoring_to_weak_step']:.2f}",
            f"{middle['steps_per_s']:.0f}",
            f"{middle['client']:.0%}",
        )
        padded = (f"{cell:>{len(head)}}" for head, cell in zip(heads, cells, strict=True))
        print(f"{route:12}  {'  '.join(padded)}", file=sys.stderr)


@contextmanager
def servers(config: Path | None) -> Iterator[Path]:
    """The configuration given, or one of servers that run as long as the context."""
    if config is not None:
        yield config
        return
    from tests.servers.lab_on_vllm import lab_on_vllm, written_config

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Sixteen tokens a message: on few cores it is vLLM's writing of messages that would be measured otherwise.
        with lab_on_vllm(folder, folder, "--stream-interval", "16") as running:
            yield written_config(folder / "steproute.toml", running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="a steproute.toml; three vLLM servers of the lab if left out")
    parser.add_argument("--data", default="lab:test")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="seeds 1, 2, …")
    parser.add_argument("--heavy-tailed", action="store_true")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 4])
    parser.add_argument("--prm-s", type=float, nargs="+", default=[0.0, 0.1, 0.2])
    asked = parser.parse_args()
    with servers(asked.config) as config:
        for in_flight in asked.in_flight:
            for prm_s in asked.prm_s:
                compare(config, asked, prm_s, in_flight)


if __name__ == "__main__":
    main()
