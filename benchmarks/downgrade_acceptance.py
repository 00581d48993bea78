"""Labels by sequential locking against an exhaustive search for the cheapest sufficient roles, on the lab.

    python benchmarks/downgrade_acceptance.py runs/downgrade --stories 20

The lab's easy stories have 3 to 5 steps. Runs resume over the step tree in the folder.
"""

import argparse
import asyncio
from collections import Counter
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

from steproute.config.embedded import lab_roles
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.step_tree import StepTree
from steproute.evaluation.proportions import proportion_interval
from steproute.lab.story import generate
from steproute.learn.downgrade import Downgrading


async def grade(problem: Problem, trace: Trace) -> bool:
    """The lab's answers are numbers."""
    return trace.answer == problem.answer


async def cheapest(downgrading: Downgrading, problem: Problem, steps: int) -> list[tuple[str, ...]]:
    """All sufficient assignments of weak and strong with the fewest strong steps."""
    every = list(product(("weak", "strong"), repeat=steps))
    for strong in range(steps + 1):
        some = [roles for roles in every if roles.count("strong") == strong]
        passes = await asyncio.gather(*(downgrading.passes(problem, roles) for roles in some))
        found = [roles for roles, count in zip(some, passes, strict=True) if downgrading.suffice(count)]
        if found:
            return found
    return []


def agreement(own: tuple[str, ...], others: list[tuple[str, ...]]) -> int:
    """Steps on which the labels and the most similar of the other assignments agree."""
    return max(sum(a == b for a, b in zip(own, other, strict=True)) for other in others)


async def main(options: argparse.Namespace) -> None:
    """Both kinds of labels of each story; the search by the same runs, and by as many others."""
    options.folder.mkdir(parents=True, exist_ok=True)
    counts, agree = Counter[str](), Counter[str]()
    with StepTree(options.folder / "tree.jsonl.zst", 2 * options.runs) as tree:
        roles = replace(tree.roles(lab_roles()), ladder=("weak", "strong"))
        same, fresh = (Downgrading(roles, grade, runs=options.runs, seed=seed) for seed in (0, options.runs))
        for problem in islice(generate("train", 11, "easy"), options.stories):
            labels = await same.labels(problem)
            if labels is None:
                counts["not labelled"] += 1
                continue
            own = tuple(label.role for label in labels)
            counts.update(own)
            for name, downgrading in (("the same runs", same), ("other runs", fresh)):
                best = await cheapest(downgrading, problem, len(own))
                agree[name] += agreement(own, best) if best else 0
            intervals = [proportion_interval(label.passes, label.runs) for label in labels]
            counts["unsure"] += sum(each.low < same.required < each.high for each in intervals)
            print(problem.id, own, flush=True)
    steps = counts["weak"] + counts["strong"]
    print(dict(counts))
    for name, count in agree.items():
        interval = proportion_interval(count, steps)
        print(f"{name}: {count} of {steps} steps agree, {count / steps:.1%} [{interval.low:.1%}, {interval.high:.1%}]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stories", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    asyncio.run(main(parser.parse_args()))
