"""Second chances with fitted tables of rungs on the lab, against TRIM-Thr, mid alone and the mix of mid and strong.

    steproute train --policy rungs --roles weak,resample,mid,strong --width 2 --out runs/rungs
    python benchmarks/rungs_lab.py --tables runs/rungs --problems 1000

All routes share random numbers and one step tree, so a step that several need is computed once. A rerun goes on. With
--repair a weak step's false arithmetic is corrected. Differences are by a paired bootstrap over problems.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from steproute.config import build_strategy, lab_roles
from steproute.core.ports import Strategy
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.runner import Route, RunSettings
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.compare import COMPARED, Comparison, compare
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.sweep import Series, Sweep, run_sweep
from steproute.policies.stored import load_policy
from steproute.policies.trim.ladder import LadderThreshold
from steproute.policies.trim.threshold import Threshold
from steproute.repairs.arithmetic import ArithmeticRepair
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

KNOBS = (0.0, 0.02, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
_WIDTH = 2**32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1_000)
    parser.add_argument("--data", default="lab:test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=2, help="drafts of the rung resample, as the tables were fitted")
    parser.add_argument(
        "--tables", nargs="*", type=Path, default=[], help="folders; the first is compared with the others"
    )
    parser.add_argument("--ladder", action="store_true", help="the ladder with one threshold for all rungs as well")
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/lab-rungs"))
    asked = parser.parse_args()
    folder = asked.out / ("repair" if asked.repair else "plain")
    folder.mkdir(parents=True, exist_ok=True)
    problems, sweep = load_problems(asked.data, asked.problems, asked.seed), _sweep(asked)
    roles = _repairing(lab_roles()) if asked.repair else lab_roles()
    with StepTree(asked.out / "tree.jsonl.zst", _WIDTH) as tree, TraceFile(folder / "traces.jsonl.zst") as traces:
        solved = asyncio.run(run_sweep(sweep, problems, tree.roles(roles), RunSettings(), traces))
    judged = JudgedRuns(sweep, problems, solved.traces, from_tree=True)
    _print_points(sweep, judged)
    _print(compare("lab-rungs", asked.data, sweep, judged, asked.seed))


def _repairing(roles: Roles) -> Roles:
    return replace(roles, models={**roles.models, "weak": replace(roles.models["weak"], repair=ArithmeticRepair())})


def _sweep(asked: argparse.Namespace) -> Sweep:
    weak, mid, strong = (
        Route(name=f"single/{role}", strategy=Single(role), seed=asked.seed) for role in ("weak", "mid", "strong")
    )
    series = [_tables(folder, asked) for folder in asked.tables]
    series.append(_series("TRIM-Thr", KNOBS, [Stepwise(policy=Threshold(knob)) for knob in KNOBS], asked.seed))
    if asked.ladder:
        ladder = [Stepwise(policy=LadderThreshold((knob,))) for knob in KNOBS]
        series.append(_series("ladder", KNOBS, ladder, asked.seed))
    series.append(Series(name="mid", knobs=(0.0,), routes=(mid,)))
    series.append(Series(name="mid-strong mix", knobs=(0.0, 1.0), routes=(mid, strong)))
    first, *others = series
    return Sweep(weak=weak, strong=strong, policy=first, baselines=tuple(others))


def _tables(folder: Path, asked: argparse.Namespace) -> Series:
    family = load_policy(folder)
    settings = {"width": asked.width}
    strategies = [build_strategy("second-chances", family.at(knob, asked.seed), settings) for knob in family.knobs]
    return _series(folder.name, family.knobs, strategies, asked.seed)


def _series(name: str, knobs: tuple[float, ...], strategies: Sequence[Strategy[Episode]], seed: int) -> Series:
    pairs = zip(knobs, strategies, strict=True)
    routes = tuple(Route(name=f"{name}={knob:g}", strategy=strategy, seed=seed) for knob, strategy in pairs)
    return Series(name=name, knobs=knobs, routes=routes)


def _print_points(sweep: Sweep, judged: JudgedRuns) -> None:
    print("| route | accuracy | dollars per million problems | strong tokens |\n|---|---|---|---|")
    for route in sweep.routes:
        point = judged.point(route, None)
        print(f"| {route.name} | {point.accuracy:.3f} | {1e6 * point.cost_usd:.1f} | {point.strong_tokens:.2f} |")


def _print(comparison: Comparison) -> None:
    for axis in ("usd", "tokens"):
        print(f"\n| {comparison.problems} problems, by {axis} | CPT(80 %) | CPT(95 %) | APGR |\n|---|---|---|---|")
        for row in comparison.rows:
            cells = (
                f"{_shown(row.metrics[axis][name])} {_ends(row.metrics[axis][f'{name}_ci95'])}"
                for name in ("cpt80", "cpt95", "apgr")
            )
            print(f"| {row.name} | " + " | ".join(cells) + " |")
        first = comparison.rows[0].name
        for row in comparison.rows[1:]:
            for metric in COMPARED[:2]:
                pair = comparison.pair(first, row.name, metric, axis)
                gap = f"{_shown(pair.difference)} {_ends(pair.difference_ci95)}"
                print(f"{first} - {row.name}, {metric}: {gap}, p = {pair.p}, Holm {pair.p_holm}")


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–"


def _ends(ends: object) -> str:
    return f"[{_shown(ends[0])}, {_shown(ends[1])}]" if isinstance(ends, tuple) else ""


if __name__ == "__main__":
    main()
