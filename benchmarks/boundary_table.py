"""Choosers on the lab on three axes: strong calls, output dollars, whole dollars; and whether plain GRPO collapses.

Run: python benchmarks/boundary_table.py --train 150 --test 200 --passes 4 --seeds 3
"""

import argparse
import asyncio
import tempfile
import time
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from steproute.config.embedded import lab_roles
from steproute.engine.limits import Limits
from steproute.engine.step_tree import StepTree
from steproute.lab.choosers import Last
from steproute.lab.story import generate
from steproute.learn.boundary import BoundaryTrainer, Difficulty, Settings, untrained
from steproute.learn.rollouts import solve_all
from steproute.policies.boundary import BoundaryFamily
from steproute.policies.choosers import First, Mixing
from steproute.strategies.preroute import Preroute

LAMBDAS = (0.05, 0.1, 0.2, 0.45)


async def grade(problem, trace):
    return trace.answer == problem.answer


async def measured(problems, roles, chooser):
    """(problem, figure): correct, strong calls, output dollars, whole dollars, switches."""
    traces = await solve_all(problems, roles, Preroute(chooser=chooser))
    rows = []
    for problem, trace in zip(problems, traces, strict=True):
        written = [line for line in trace.account if line.role in roles.models]
        output = sum(float(roles.models[line.role].price.output) * line.usage.output_tokens / 1e6 for line in written)
        names = [step.role for step in trace.steps]
        switches = sum(a != b for a, b in pairwise(names))
        calls = sum(line.role == "strong" for line in written)
        rows.append((trace.answer == problem.answer, calls, output, float(trace.cost_usd), switches))
    return np.array(rows, dtype=float)


class Always:
    reads = frozenset()

    def __init__(self, role):
        self.role = role

    def choose(self, moment):
        return self.role


def against_mix(one, cheap, dear, column, rng):
    """Accuracy of a chooser less that of a per-problem mix of two models at equal mean cost; paired over problems."""

    def difference(weights):
        own, low, high = (np.average(each, axis=0, weights=weights) for each in (one, cheap, dear))
        share = (own[column] - low[column]) / (high[column] - low[column])
        return own[0] - (low[0] + share * (high[0] - low[0])) if 0 <= share <= 1 else np.nan

    count = len(one)
    draws = [difference(rng.multinomial(count, np.full(count, 1 / count))) for _ in range(1000)]
    value = difference(np.ones(count))
    if np.isnan(value) or np.isnan(draws).mean() > 0.1:
        return "–"
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return f"{100 * value:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"


async def main(options):
    began = time.monotonic()
    train = list(islice(generate("train", 11), options.train))
    test = list(islice(generate("test", 11), options.test))
    with tempfile.TemporaryDirectory() as folder, StepTree(Path(folder) / "tree", 5) as tree:
        roles = tree.roles(lab_roles())
        settings = Settings(passes=options.passes)
        trainer = BoundaryTrainer(roles, grade, Limits(), settings)
        tasks = await trainer.tasks(train)
        kinds = [task.difficulty for task in tasks]
        print({kind.value: kinds.count(kind) for kind in Difficulty}, f"{time.monotonic() - began:.0f} s", flush=True)
        start = await trainer.supervised(tasks)
        print(f"BoSFT: {len(start.terms)} terms, {time.monotonic() - began:.0f} s", flush=True)
        trained = await trainer.optimised(start, tasks)
        print(f"BoPO: {time.monotonic() - began:.0f} s, {tree.computations} of {tree.requests} computed", flush=True)
        choosers = {"always weak": Always("weak"), "always mid": Always("mid"), "always strong": Always("strong")}
        choosers |= {f"first {k}": First(k) for k in (1, 2, 3)} | {f"last {k}": Last(k) for k in (1, 2, 3)}
        choosers |= {f"mixing {p}": Mixing(p) for p in (0.3, 0.6)} | {"BoSFT": BoundaryFamily(start).at(0.2, 0)}
        choosers |= {f"BoPO, λ {lam}": BoundaryFamily(trained).at(lam, 0) for lam in LAMBDAS}
        rows = {name: await measured(test, roles, chooser) for name, chooser in choosers.items()}
        weak, mid, strong = (rows[f"always {name}"] for name in ("weak", "mid", "strong"))
        print(
            "| chooser | correct | strong calls | output $ | whole $ | switches | ± weak–strong, output $ "
            "| ± weak–strong, whole $ | ± mid–strong, whole $ |"
        )
        for name, each in rows.items():
            mean, rng = each.mean(axis=0), np.random.default_rng(0)
            shares = " | ".join(f"{100 * x:.0f} %" for x in mean[1:4] / strong.mean(axis=0)[1:4])
            mixes = [against_mix(each, *pair, rng) for pair in ((weak, strong, 2), (weak, strong, 3), (mid, strong, 3))]
            print(f"| {name} | {100 * mean[0]:.1f} % | {shares} | {mean[4]:.1f} | {' | '.join(mixes)} |", flush=True)
        hard = [task for task in tasks if task.difficulty is Difficulty.HARD]
        for seed in range(options.seeds):
            for name, reference in (("plain GRPO", False), ("BoPO", True)):
                own = Settings(passes=options.passes, seed=seed, reference=reference)
                other = BoundaryTrainer(roles, grade, Limits(), own)
                first = untrained(train) if not reference else start
                router = await other.optimised(first, tasks)
                shares = []
                for lam in (0.1, 0.45, 1.0):
                    chooser = BoundaryFamily(router).at(lam, 0)
                    traces = await solve_all([task.problem for task in hard], roles, Preroute(chooser=chooser))
                    steps = [step.role == "strong" for trace in traces for step in trace.steps]
                    shares.append(f"{100 * np.mean(steps):.0f} %")
                print(f"{name}, seed {seed}: strong share on hard tasks at λ 0.1, 0.45, 1: {shares}", flush=True)
        print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("train", 150), ("test", 200), ("passes", 4), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asyncio.run(main(parser.parse_args()))
