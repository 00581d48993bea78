"""Policies on an agent world: success against dollars and tokens, beside a coin per task between weak and strong.

Run: python benchmarks/worlds_table.py --data house --problems 500 \
         --series threshold,random,preroute:mixing,preroute:first
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steproute.config import Setup, build_strategy, policy_family, read_setup
from steproute.core.arrays import F64
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.engine.episode import Episode
from steproute.engine.grade_book import GradeBook
from steproute.engine.roles import Roles
from steproute.engine.step_tree import StepTree
from steproute.evaluation.bootstrap import Outcomes, metric_samples
from steproute.evaluation.datasets import load_problems
from steproute.learn.rollouts import AnswerGrades, solve_all
from steproute.strategies.single import Single

RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """One route: what each task came to, (task,). read, written: tokens of all calls; strong: calls of that role."""

    name: str
    series: str
    success: F64
    usd: F64
    read: F64
    written: F64
    strong: F64


def routes_of(series: str, points: int, seed: int = 0) -> list[tuple[str, Strategy[Episode]]]:
    """(name, strategy) of each operating point: `points` knobs from inside the policy's range."""
    before, _, after = series.partition(":")
    strategy, policy = (before, after) if after else ("stepwise", series)
    if strategy == "single":
        return [(f"{policy} alone", Single(policy))]
    family = policy_family(policy)
    places = np.linspace(0, len(family.knobs) - 1, points + 2).round().astype(int)[1:-1]
    knobs = [family.knobs[place] for place in dict.fromkeys(places)]
    label = Path(policy).name
    return [(f"{label} {knob:.3g}", build_strategy(strategy, family.at(knob, seed))) for knob in knobs]


async def measured(
    name: str,
    series: str,
    strategy: Strategy[Episode],
    problems: Sequence[Problem],
    setup: Setup,
    roles: Roles,
    seed: int,
) -> Row:
    """One row."""
    traces = await solve_all(problems, roles, strategy, seed, limits=setup.limits)
    with GradeBook(setup.roles.grading) as book:
        grades = AnswerGrades(book)
        success = [await grades(problem, trace) for problem, trace in zip(problems, traces, strict=True)]
    usage = [[line.usage for line in trace.account] for trace in traces]
    return Row(
        name=name,
        series=series,
        success=np.array(success, float),
        usd=np.array([float(trace.cost_usd) for trace in traces]),
        read=np.array([sum(each.read_tokens for each in lines) for lines in usage], float),
        written=np.array([sum(each.output_tokens for each in lines) for lines in usage], float),
        strong=np.array([sum(line.role == "strong" for line in trace.account) for trace in traces], float),
    )


def against_coin(row: Row, weak: Row, strong: Row, rng: np.random.Generator) -> str:
    """Success less that of a coin per task between weak and strong at equal mean dollars, with its interval."""

    count = len(row.usd)
    weights = np.vstack(
        [np.full(count, 1 / count), rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count]
    )
    dollars, low, high = (weights @ each.usd for each in (row, weak, strong))
    own, worst, best = (weights @ each.success for each in (row, weak, strong))
    difference = own - (worst + np.minimum((dollars - low) / (high - low), 1.0) * (best - worst))
    low, high = np.percentile(difference[1:], (2.5, 97.5))
    return f"{100 * difference[0]:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def success_of(row: Row, rng: np.random.Generator) -> str:
    """Success in per cent with its interval."""
    count = len(row.success)
    draws = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) @ row.success / count
    low, high = np.percentile(draws, (2.5, 97.5))
    return f"{100 * row.success.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def print_rows(rows: Sequence[Row], weak: Row, strong: Row) -> None:
    """The table; dollars and calls are shares of the strong agent's."""
    print("| policy | success, % | dollars | tokens read | tokens written | strong calls | ± coin per task, points |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        calls, dollars = row.strong.mean() / strong.strong.mean(), row.usd.mean() / strong.usd.mean()
        rng = np.random.default_rng(0)
        coin = against_coin(row, weak, strong, rng) if row.series else ""
        print(
            f"| {row.name} | {success_of(row, rng)} | {100 * dollars:.1f} % | {row.read.mean():.0f} | "
            f"{row.written.mean():.0f} | {100 * calls:.0f} % | {coin} |"
        )


def print_areas(rows: Sequence[Row], names: Sequence[str], weak: Row, strong: Row) -> None:
    """APGR by dollars of each series, and by how much it differs from the first one's, paired."""
    swept = [[row for row in rows if row.series == name] for name in names]
    outcomes = [
        Outcomes(correct=np.array([row.success for row in each]), cost=np.array([row.usd for row in each]))
        for each in swept
    ]
    low, high = (Outcomes(correct=each.success, cost=each.usd) for each in (weak, strong))
    samples = metric_samples(outcomes, low, high, np.random.default_rng(0), resamples=RESAMPLES)
    print("\n| series | APGR by dollars | less the first's |\n|---|---|---|")
    for name, sample in zip(names, samples, strict=True):
        print(f"| {name} | {_interval(sample['apgr'])} | {_interval(sample['apgr'] - samples[0]['apgr'])} |")


def _interval(draws: F64) -> str:
    low, high = np.nanpercentile(draws[1:], (2.5, 97.5))
    return f"{draws[0]:.3f} [{low:+.3f}, {high:+.3f}]"


async def main(options: argparse.Namespace) -> None:
    setup = read_setup(None, options.data)
    problems = setup.answer.on(load_problems(options.data, options.problems, options.seed))
    names = options.series.split(",")
    with tempfile.TemporaryDirectory() as folder, StepTree(Path(folder) / "tree", 2**32) as tree:
        roles = tree.roles(setup.roles)
        rows: list[Row] = []
        plan: list[tuple[str, str, Strategy[Episode]]] = [
            ("weak alone", "", Single("weak")),
            ("strong alone", "", Single("strong")),
        ]
        for each in names:
            plan += [(name, each, strategy) for name, strategy in routes_of(each, options.points)]
        for name, series, strategy in plan:
            rows.append(await measured(name, series, strategy, problems, setup, roles, options.seed))
            print(f"{name}: {rows[-1].success.mean():.3f}", flush=True)
    weak, strong, *_ = rows
    print_rows(rows, weak, strong)
    print_areas(rows, names, weak, strong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="house")
    parser.add_argument("--series", default="threshold,random", help="as --policies of steproute compare")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--points", type=int, default=4, help="operating points per series")
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(main(parser.parse_args()))
