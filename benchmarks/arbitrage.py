"""Arbitrage's frontier and waste on the lab, from a run of `steproute compare` and its step tree.

    steproute compare --policies threshold,rsd,runs/advantage --data lab:test --problems 1000 --name arbitrage
    python benchmarks/arbitrage.py runs/arbitrage --policies threshold,rsd,runs/advantage --problems 1000

Adds the oracle by the checker. Costs are the strong model's tokens that solutions keep, since an oracle discards most
of what it pays for. The last part compares the waste at the knob nearest to 30 % of always-strong's tokens.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steproute.config import lab_roles
from steproute.config.route import build_strategy, policy_family
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.runner import Route, RunSettings
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.bootstrap import Outcomes, metric_samples
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.differences import difference, metric_interval
from steproute.evaluation.resampling import draws
from steproute.evaluation.sweep import Series, Sweep, run_sweep
from steproute.evaluation.waste import regenerations
from steproute.strategies.single import Single

WIDTH, RESAMPLES = 2**32, 10_000
ORACLES = {f"arbitrage-oracle by {judge}": judge for judge in ("prm", "checker")}
ORACLE_KNOBS = {"prm": (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.7), "checker": (0.5,)}


def series(policy: str) -> Series:
    family = policy_family(policy)
    routes = [
        Route(
            name=f"stepwise/{policy}={knob!r}".removesuffix(".0"),
            strategy=build_strategy("stepwise", family.at(knob, 0)),
        )
        for knob in family.knobs
    ]
    return Series(name=policy, knobs=tuple(family.knobs), routes=tuple(routes))


def oracle(name: str, judge: str) -> Series:
    family, knobs = policy_family("threshold"), ORACLE_KNOBS[judge]
    strategies = [build_strategy("arbitrage-oracle", family.at(knob, 0), {"judge": judge}) for knob in knobs]
    routes = [
        Route(name=f"arbitrage-oracle(judge={judge})/threshold={knob:g}", strategy=each)
        for knob, each in zip(knobs, strategies, strict=True)
    ]
    return Series(name=name, knobs=knobs, routes=tuple(routes))


def kept(rows: Sequence[Sequence[Trace]]) -> Outcomes:
    """Correctness and the strong tokens that solutions keep, (route, problem)."""
    return Outcomes(
        correct=np.array([[trace.verdict is Verdict.CORRECT for trace in row] for row in rows]),
        cost=np.array([[trace.generated_tokens("strong", Purpose.ACCEPTED) for trace in row] for row in rows], float),
    )


def nearest(rows: Sequence[Sequence[Trace]], strong: float) -> int:
    shares = [np.mean([trace.generated_tokens("strong") for trace in row]) / strong for row in rows]
    return int(np.argmin(np.abs(np.array(shares) - 0.3)))


def waste_differences(counts: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Share wasted of each policy, and its difference from the first; paired bootstrap over problems."""
    names = list(counts)
    table = np.stack([counts[name] for name in names], axis=1)  # (problem, policy, 4)
    flat = table.reshape(len(table), -1)
    drawn = np.concatenate([count @ flat for count in draws(len(table), RESAMPLES, rng)])
    sums = np.concatenate([flat.sum(axis=0)[None], drawn]).reshape(-1, len(names), 4)
    found: dict[str, Any] = {}
    for kind, known in (("by score", 0), ("by checker", 2)):
        shares = sums[:, :, known + 1] / np.maximum(sums[:, :, known], 1e-9)
        for index, name in enumerate(names):
            versus = difference(shares[:, index], shares[:, 0])
            interval = [versus.interval.low, versus.interval.high]
            found[f"{name}, {kind}"] = {
                "share": shares[0, index],
                "minus first": versus.value,
                "ci95": interval,
                "p": versus.p,
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policies", default="threshold,rsd,runs/advantage")
    parser.add_argument("--problems", type=int, default=1000)
    options = parser.parse_args()
    problems = load_problems("lab:test", options.problems, 0)
    swept = [series(name) for name in options.policies.split(",")]
    every = [*swept, *(oracle(name, judge) for name, judge in ORACLES.items())]
    anchors = [Route(name=f"single/{role}", strategy=Single(role)) for role in ("weak", "strong")]
    sweep = Sweep(weak=anchors[0], strong=anchors[1], policy=every[0], baselines=tuple(every[1:]))
    with (
        StepTree(options.folder / "tree.jsonl.zst", WIDTH) as tree,
        TraceFile(options.folder / "traces.jsonl.zst") as file,
    ):
        solved = asyncio.run(run_sweep(sweep, problems, tree.roles(lab_roles()), RunSettings(), file))
    traces = {(trace.route, trace.problem_id): trace for trace in solved.traces}
    rows = {each.name: [[traces[route.name, p.id] for p in problems] for route in each.routes] for each in every}
    weak, strong = (kept([[traces[route.name, p.id] for p in problems]]) for route in anchors)
    weak, strong = (Outcomes(correct=each.correct[0], cost=each.cost[0]) for each in (weak, strong))
    samples = metric_samples(
        [kept(each) for each in rows.values()], weak, strong, np.random.default_rng(0), resamples=RESAMPLES
    )
    for name, sample in zip(rows, samples, strict=True):
        versus = difference(sample["apgr"], samples[0]["apgr"])
        ends = metric_interval(sample["apgr"])
        line = {"policy": name, "kept apgr": round(sample["apgr"][0], 4), "ci95": [ends.low, ends.high], "p": versus.p}
        print(json.dumps(line), flush=True)
    counts, chosen = {}, {}
    for name, each in rows.items():
        chosen[name] = row = each[nearest(each, float(strong.cost.mean()))]
        counts[name] = np.array([regenerations(p, trace) for p, trace in zip(problems, row, strict=True)], float)
        share = np.mean([trace.generated_tokens("strong") for trace in row]) / strong.cost.mean()
        print(json.dumps({"policy": name, "at": row[0].route, "strong share": round(float(share), 4)}))
    for name, line in waste_differences(counts, np.random.default_rng(0)).items():
        print(json.dumps({name: line}))


if __name__ == "__main__":
    main()
