"""Problems a minute and latency of a problem: strong alone, lockstep, stepwise, pipelined, pipelined with hedge.

Over the simulated deployment of `steproute.simulation.world`, in virtual time, by the real engine; the same problems
and seeds for all. The first block is the deployment as it is by default, the others make the process reward model's
call take so many times a weak step by adding to what each of its requests takes. `scoring in no time` is stepwise over
a reward model that answers at once: no way of hiding its time can do better. Each block says what a scoring call takes
in weak steps, and in steps as the loop writes them, with strong's rewriting. JSON lines on stdout, tables on stderr.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from lockstep import Lockstep

from steproute.core.ports import Strategy
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile
from steproute.policies.trim.threshold import Threshold
from steproute.simulation.servers import Reading
from steproute.simulation.virtual_time import run_virtually
from steproute.simulation.world import SimWorld
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

RATIOS = (0.1, 0.25, 0.5, 0.8, 1.0, 2.0)
POLICY = Threshold(0.5)
ALWAYS = 1.01
ROUTES: dict[str, Callable[[], Strategy[Episode]]] = {
    "strong only": lambda: Single("strong"),
    "lockstep": lambda: Lockstep(policy=POLICY),
    "lockstep, all at once": lambda: Lockstep(policy=POLICY),
    "stepwise": lambda: Stepwise(policy=POLICY),
    "scoring in no time": lambda: Stepwise(policy=POLICY),
    "pipelined, 1 ahead": lambda: Pipelined(policy=POLICY, lookahead=1),
    "pipelined": lambda: Pipelined(policy=POLICY),
    "pipelined, hedge 0.7": lambda: Pipelined(policy=POLICY, hedge=0.7),
    "pipelined, hedge 0.9": lambda: Pipelined(policy=POLICY, hedge=0.9),
    "pipelined, hedge always": lambda: Pipelined(policy=POLICY, hedge=ALWAYS),
}


def solve(world: SimWorld, route: str, count: int, in_flight: int, seed: int) -> tuple[list[Trace], float]:
    """All traces, in the order of the problems, and the virtual seconds they took."""
    problems = world.problems(count, seed)
    if route == "scoring in no time":
        world = replace(world, prm=Reading(request_s=0.0, pass_s=0.0, read_s=0.0))
    plan = Route(name=route, strategy=ROUTES[route](), seed=seed)
    settings = RunSettings(in_flight=count if route.endswith("at once") else in_flight)

    async def timed(file: TraceFile) -> tuple[list[Trace], float]:
        await run([(plan, problem) for problem in problems], world.roles(), settings, file)
        found = (file.get(route, problem.id, seed) for problem in problems)
        return [trace for trace in found if trace is not None], asyncio.get_running_loop().time()

    with tempfile.TemporaryDirectory() as folder, TraceFile(Path(folder) / "traces.jsonl.zst") as file:
        return run_virtually(timed(file))


def calls_s(traces: list[Trace], role: str, *purposes: Purpose) -> list[float]:
    """Seconds of each of a role's calls."""
    return [x.latency_s for t in traces for x in t.account if x.role == role and x.purpose in purposes]


def measured(traces: list[Trace], seconds: float) -> dict[str, float]:
    """What a row of the table says."""
    latencies = [trace.latency_s for trace in traces]
    p50, p95 = np.percentile(latencies, [50, 95])
    cancelled = {role: [t.generated_tokens(role, Purpose.CANCELLED) for t in traces] for role in ("weak", "strong")}
    return {
        "problems_per_minute": 60 * len(traces) / seconds,
        "p50_s": float(p50),
        "p95_s": float(p95),
        "accuracy": statistics.mean(trace.answer == "1" for trace in traces),
        "usd_per_problem": statistics.mean(float(trace.cost_usd) for trace in traces),
        "cancelled_weak_tokens": statistics.mean(cancelled["weak"]),
        "cancelled_strong_tokens": statistics.mean(cancelled["strong"]),
    }


def block(world: SimWorld, title: str, asked: argparse.Namespace) -> tuple[float, float]:
    """Measure every route in one world, print, and return mean seconds of a scoring call and of a weak step."""
    rows: dict[str, list[dict[str, float]]] = {route: [] for route in ROUTES}
    scoring, drafting, writing = [], [], []
    for seed in range(asked.seeds):
        solved = {route: solve(world, route, asked.problems, asked.in_flight, seed) for route in ROUTES}
        plain = solved["stepwise"][0]
        drafts = calls_s(plain, "weak", Purpose.ACCEPTED, Purpose.DISCARDED)
        rewritten = calls_s(plain, "strong", Purpose.ACCEPTED)
        scoring.append(statistics.mean(calls_s(plain, "prm", Purpose.SCORE)))
        drafting.append(statistics.mean(drafts))
        writing.append((sum(drafts) + sum(rewritten)) / len(drafts))
        for route, (traces, seconds) in solved.items():
            same = route == "strong only" or [t.steps for t in traces] == [t.steps for t in plain]
            assert same, f"{route} has other solutions than stepwise"
            rows[route].append(measured(traces, seconds))
            line = {"block": title, "seed": seed, "route": route, **rows[route][-1]}
            print(json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in line.items()}), flush=True)
    of_draft, of_step = (statistics.mean(scoring) / statistics.mean(each) for each in (drafting, writing))
    table(f"{title} (as measured {of_draft:.2f} of a weak step, {of_step:.2f} of a step with its rewriting)", rows)
    return statistics.mean(scoring), statistics.mean(drafting)


def table(title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    """Means over seeds, and ratios to lockstep's throughput and to stepwise's median, seed by seed."""
    heads = ("problems/min", "vs lockstep", "p50 s", "p95 s", "p50 vs stepwise", "cancelled w/s", "$/1000")
    print(f"\n{title}\n{'':24}  {'  '.join(heads)}", file=sys.stderr)
    for route, seeds in rows.items():
        mean = {key: statistics.mean(row[key] for row in seeds) for key in seeds[0]}
        faster = statistics.mean(
            a["problems_per_minute"] / b["problems_per_minute"] for a, b in zip(seeds, rows["lockstep"], strict=True)
        )
        sooner = statistics.mean(a["p50_s"] / b["p50_s"] - 1 for a, b in zip(seeds, rows["stepwise"], strict=True))
        cells = (
            f"{mean['problems_per_minute']:.1f}",
            f"{faster:.2f}x",
            f"{mean['p50_s']:.2f}",
            f"{mean['p95_s']:.2f}",
            f"{sooner:+.1%}",
            f"{mean['cancelled_weak_tokens']:.0f}/{mean['cancelled_strong_tokens']:.0f}",
            f"{1000 * mean['usd_per_problem']:.2f}",
        )
        padded = (f"{cell:>{max(len(head), 5)}}" for head, cell in zip(heads, cells, strict=True))
        print(f"{route:24}  {'  '.join(padded)}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=512, help="a seed")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, …, of problems and draws alike")
    parser.add_argument("--in-flight", type=int, default=64)
    asked = parser.parse_args()
    world = SimWorld()
    scoring_s, drafting_s = block(world, "default deployment", asked)
    for ratio in RATIOS:
        request_s = world.prm.request_s + ratio * drafting_s - scoring_s
        slower = replace(world, prm=replace(world.prm, request_s=max(0.0, request_s)))
        block(slower, f"scoring {ratio:g} of a weak step", asked)


if __name__ == "__main__":
    main()
