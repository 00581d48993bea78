"""Solutions to learn from: many problems at once, one trace each."""

import asyncio
from collections.abc import Sequence
from typing import Final

from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.episode import Episode

_IN_FLIGHT: Final = 64


async def solve_all(problems: Sequence[Problem], cast: Cast, strategy: Strategy[Episode], seed: int = 0) -> list[Trace]:
    """One trace a problem, in order."""
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def solve(problem: Problem) -> Trace:
        async with gate:
            return await Episode(problem, cast, route="rollouts", seed=seed).run(strategy)

    return list(await asyncio.gather(*(solve(problem) for problem in problems)))
