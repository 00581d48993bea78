"""Solutions to learn from: many problems at once, one trace each, and whether their answers are correct."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from steproute.core.errors import BackendError
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.verdict import Verdict
from steproute.engine.cast import Cast
from steproute.engine.episode import Episode
from steproute.engine.grade_book import GradeBook
from steproute.engine.limits import Limits

IN_FLIGHT: Final = 64
Grade = Callable[[Problem, Trace], Awaitable[bool]]
"""Whether a finished trace's answer is correct."""


async def solve_all(
    problems: Sequence[Problem],
    cast: Cast,
    strategy: Strategy[Episode],
    seed: int = 0,
    *,
    limits: Limits = Limits(),
    in_flight: int = IN_FLIGHT,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> list[Trace]:
    """One trace per problem, in order; `on_trace` is called as each ends."""
    gate = asyncio.Semaphore(in_flight)

    async def solve(problem: Problem) -> Trace:
        async with gate:
            trace = await Episode(problem, cast, route="rollouts", limits=limits, seed=seed).run(strategy)
        on_trace(trace)
        return trace

    return list(await asyncio.gather(*(solve(problem) for problem in problems)))


def answer_grade(book: GradeBook) -> Grade:
    """The grader's verdict; an undecided answer counts as incorrect, and so does none."""

    async def grade(problem: Problem, trace: Trace) -> bool:
        found = await book.grade(problem, trace)
        return found is not None and found.verdict is Verdict.RIGHT

    return grade


def finished(trace: Trace) -> Trace:
    """The trace; raises BackendError if its problem failed, which says nothing about the models."""
    if trace.failed:
        raise BackendError(
            f"problem {trace.problem_id!r}: {trace.error or 'it was cancelled'}. The same command goes on where this "
            "one stopped; leave the problem out if it always fails."
        )
    return trace
