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


async def main(options: argparse.Namespace) -> None:
    """Both kinds of labels of each story, and how many agree."""
    options.folder.mkdir(parents=True, exist_ok=True)
    agree = steps = extra = wide = 0
    counts = Counter[str]()
    with StepTree(options.folder / "tree.jsonl.zst", options.runs) as tree:
        roles = tree.roles(lab_roles())
        pair = replace(roles, ladder=("weak", "strong"))
        downgrading = Downgrading(pair, grade, runs=options.runs)
        for problem in islice(generate("train", 11, "easy"), options.stories):
            labels = await downgrading.labels(problem)
            if labels is None:
                counts["not labelled"] += 1
                continue
            own = tuple(label.role for label in labels)
            best = await cheapest(downgrading, problem, len(own))
            hits = max(sum(a == b for a, b in zip(own, other, strict=True)) for other in best)
            agree, steps, extra = agree + hits, steps + len(own), extra + own.count("strong") - best[0].count("strong")
            counts.update(own)
            intervals = [proportion_interval(label.passes, label.runs) for label in labels]
            wide += sum(each.low < downgrading.required < each.high for each in intervals)
            print(problem.id, own, best, flush=True)
    low, high = proportion_interval(agree, steps)
    print(f"{dict(counts)}; {agree} of {steps} steps agree: {agree / steps:.1%} [{low:.1%}, {high:.1%}]")
    print(f"strong steps beyond the fewest: {extra}; labels whose interval holds the required share: {wide}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stories", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    asyncio.run(main(parser.parse_args()))
