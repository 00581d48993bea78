"""Tokens per second of the lab models, with one problem in flight and with 32, side by side in one run."""

import argparse
import asyncio
import statistics
import time
from dataclasses import replace
from itertools import islice

from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.story import generate


async def tokens_per_second(model: LabModel, problems: list[Problem], in_flight: int, label: str) -> float:
    """Generated tokens over wall-clock seconds for whole solutions."""
    limiter, tokens = asyncio.Semaphore(in_flight), 0

    async def solve(seed: int, problem: Problem) -> None:
        nonlocal tokens
        async with limiter:
            prefix = Prefix(problem=problem, session=f"{label}/{problem.id}")
            (draft,) = await model.propose(prefix, 1, replace(LAB_SAMPLING, stop=None, seed=seed))
            tokens += draft.usage.output_tokens

    began = time.perf_counter()
    await asyncio.gather(*(solve(seed, problem) for seed, problem in enumerate(problems)))
    return tokens / (time.perf_counter() - began)


def main() -> None:
    """Print medians over rounds and the ratio of 32 in flight to one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    problems = list(islice(generate("test"), options.problems))
    for name in ("lab-weak", "lab-strong"):
        model = LabModel(name)
        rounds = [
            [asyncio.run(tokens_per_second(model, problems, n, f"{i}/{n}")) for n in (1, 32)]
            for i in range(options.rounds)
        ]
        alone, batched = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(b / a for a, b in rounds)
        print(f"{name}: {alone:,.0f} tokens/s with 1 in flight, {batched:,.0f} with 32, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
