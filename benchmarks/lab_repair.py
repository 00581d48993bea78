"""The lab with and without the arithmetic repair of what weak writes: weak alone, and TRIM-Thr swept over its knob.

    python benchmarks/lab_repair.py --problems 1000

Both arms share random numbers and one step tree, so a step that both need is computed once. A rerun goes on.
"""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np

from steproute.config import lab_roles
from steproute.core.problem import Problem
from steproute.engine.roles import Roles
from steproute.engine.runner import Route, RunSettings
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.bootstrap import Outcomes, curve_of, metric_samples
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.differences import difference
from steproute.evaluation.judged_runs import Cost, JudgedRuns
from steproute.evaluation.metrics import measure
from steproute.evaluation.sweep import Series, Sweep, run_sweep
from steproute.policies.trim.threshold import Threshold
from steproute.repairs.arithmetic import ArithmeticRepair
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

KNOBS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0)
AXES: tuple[Cost, ...] = ("tokens", "usd")
_WIDTH = 2**32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1_000)
    parser.add_argument("--data", default="lab:test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-weak", action="store_true", help="leave out the sweep of TRIM-Thr")
    parser.add_argument("--out", type=Path, default=Path("runs/lab-repair"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    problems = load_problems(asked.data, asked.problems, asked.seed)
    sweep = _sweep(asked.seed, (0.0,) if asked.only_weak else KNOBS)
    arms = {"without": lab_roles(), "with": _repairing(lab_roles())}
    with StepTree(asked.out / "tree.jsonl.zst", _WIDTH) as tree:
        runs = {name: _judged(sweep, problems, tree.roles(roles), asked.out / name) for name, roles in arms.items()}
    _print_weak(sweep, runs, asked.seed)
    if not asked.only_weak:
        _print_sweeps(sweep, runs, asked.seed)


def _repairing(roles: Roles) -> Roles:
    return replace(roles, models={**roles.models, "weak": replace(roles.models["weak"], repair=ArithmeticRepair())})


def _sweep(seed: int, knobs: tuple[float, ...]) -> Sweep:
    strategies = {f"stepwise/threshold={knob:g}": Stepwise(policy=Threshold(knob)) for knob in knobs}
    routes = tuple(Route(name=name, strategy=strategy, seed=seed) for name, strategy in strategies.items())
    return Sweep(
        weak=Route(name="single/weak", strategy=Single("weak"), seed=seed),
        strong=Route(name="single/strong", strategy=Single("strong"), seed=seed),
        policy=Series(name="threshold", knobs=knobs, routes=routes),
    )


def _judged(sweep: Sweep, problems: list[Problem], roles: Roles, folder: Path) -> JudgedRuns:
    folder.mkdir(exist_ok=True)
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        solved = asyncio.run(run_sweep(sweep, problems, roles, RunSettings(), traces))
    return JudgedRuns(sweep, problems, solved.traces, from_tree=True)


def _print_weak(sweep: Sweep, runs: dict[str, JudgedRuns], seed: int) -> None:
    """Never strong, and stepwise, since a repair acts on one step at a time."""
    route = sweep.policy.routes[0]
    print("| weak alone | accuracy | weak tokens | dollars per 1 000 problems |\n|---|---|---|---|")
    for name, judged in runs.items():
        point = judged.point(route, 0.0)
        print(f"| {name} repair | {point.accuracy:.3f} | {point.weak_tokens:.2f} | {1_000 * point.cost_usd:.5f} |")
    one, other = (judged.outcomes([route]).correct[0] for judged in (runs["with"], runs["without"]))
    print(f"with - without: {_paired(one, other, seed)} on {len(one)} problems")


def _paired(one: np.ndarray, other: np.ndarray, seed: int, resamples: int = 10_000) -> str:
    gaps, rng = np.asarray(one) - np.asarray(other), np.random.default_rng(seed)
    means = np.array([gaps[rng.integers(0, len(gaps), len(gaps))].mean() for _ in range(resamples)])
    low, high = np.percentile(means, [2.5, 97.5])
    p = 2 * (1 + min((means <= 0).sum(), (means >= 0).sum())) / (resamples + 1)
    return f"{gaps.mean():+.3f} [{low:+.3f}, {high:+.3f}], p = {min(p, 1.0):.4f}"


def _print_sweeps(sweep: Sweep, runs: dict[str, JudgedRuns], seed: int) -> None:
    """Both curves between the same anchors, which are weak without the repair and strong."""
    knobs, routes = sweep.policy.knobs, sweep.policy.routes
    for axis in AXES:
        swept: list[Outcomes] = [runs[name].outcomes(routes, axis) for name in ("with", "without")]
        anchors = runs["without"].anchor(sweep.weak, axis), runs["without"].anchor(sweep.strong, axis)
        samples = metric_samples(swept, *anchors, np.random.default_rng(seed), resamples=10_000)
        print(f"\n| TRIM-Thr by {axis} | " + " | ".join(("APGR", "CPT(50 %)", "CPT(95 %)", "accuracy at 20 %")) + " |")
        print("|---" * 5 + "|")
        for name, outcomes in zip(("with", "without"), swept, strict=True):
            values = measure(curve_of(knobs, outcomes, *anchors))
            cells = [f"{values[metric]:.3f}" for metric in ("apgr", "cpt50", "cpt95", "accuracy_at_20")]
            print(f"| {name} repair | " + " | ".join(cells) + " |")
        for metric in ("apgr", "accuracy_at_20"):
            gap = difference(samples[0][metric], samples[1][metric])
            print(f"{metric}: {gap.value:+.4f} [{gap.interval.low:+.4f}, {gap.interval.high:+.4f}], p = {gap.p}")


if __name__ == "__main__":
    main()
