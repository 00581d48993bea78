"""Problems per minute of the searching strategies, in three ways side by side in one run: one call at a time, one
problem at a time, and 64 problems in flight.

One call at a time: a problem's drafts are single calls and nothing overlaps, as a loop without batches would do it.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from steproute.config import lab_roles
from steproute.core.ports import ModelCapabilities, StepModel, StepScorer, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.evaluation.datasets import load_problems
from steproute.policies.modes import Modes
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.beam import Beam
from steproute.strategies.vote import Vote
from steproute.strategies.widened import BestOfN, Widened

NONE = Threshold(0.0)
STRATEGIES: dict[str, Strategy[Episode]] = {
    "best of 8 per step": BestOfN(policy=NONE, width=8),
    "pats": Widened(policy=Modes()),
    "beam 3 × 2": Beam(policy=NONE),
    "vote of 8": Vote(policy=NONE),
}


class OneCall:
    """A model of one draft per call, whose calls take turns with all others that hold `lock`."""

    capabilities = ModelCapabilities(several=False)

    def __init__(self, model: StepModel, lock: asyncio.Lock) -> None:
        self.name, self._model, self._lock = model.name, model, lock

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """One draft."""
        async with self._lock:
            return await self._model.propose(prefix, n, sampling, meter)


class OneScore:
    """A scorer whose calls take turns with all others that hold `lock`."""

    def __init__(self, scorer: StepScorer, lock: asyncio.Lock) -> None:
        self.name, self._scorer, self._lock = scorer.name, scorer, lock

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """The scores of a prefix."""
        async with self._lock:
            return await self._scorer.score(prefix, meter)


def lab(one_call: bool) -> Roles:
    """The lab with the weak model at temperature 1, as it is or with one call at a time."""
    roles, lock = lab_roles(), asyncio.Lock()
    weak, prm = roles.model("weak"), roles.scorer()
    weak = replace(weak, sampling=replace(weak.sampling, temperature=1.0))
    if one_call:
        weak, prm = replace(weak, model=OneCall(weak.model, lock)), replace(prm, scorer=OneScore(prm.scorer, lock))
    return replace(roles, models={**roles.models, "weak": weak}, scorers={**roles.scorers, "prm": prm})


async def per_minute(strategy: Strategy[Episode], roles: Roles, problems: Sequence[Problem], in_flight: int) -> float:
    """Problems per minute."""
    slots = asyncio.Semaphore(in_flight)

    async def solve(problem: Problem) -> None:
        async with slots:
            await Episode(problem, roles, route="throughput").run(strategy)

    began = time.perf_counter()
    await asyncio.gather(*map(solve, problems))
    return 60 * len(problems) / (time.perf_counter() - began)


def main() -> None:
    """Print medians over rounds, and the medians of the rounds' ratios to one call at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    problems = load_problems("lab:validation", asked.problems, 0)
    few = problems[: max(1, asked.problems // 8)]
    print("| strategy | one call at a time | one problem at a time | 64 in flight | ratio to one call |")
    print("|---|---|---|---|---|", flush=True)
    for name, strategy in STRATEGIES.items():
        rounds = [
            (
                asyncio.run(per_minute(strategy, lab(True), few, 1)),
                asyncio.run(per_minute(strategy, lab(False), few, 1)),
                asyncio.run(per_minute(strategy, lab(False), problems, 64)),
            )
            for _ in range(asked.rounds)
        ]
        single, alone, many = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(each[2] / each[0] for each in rounds)
        print(f"| {name} | {single:.0f} | {alone:.0f} | {many:.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
