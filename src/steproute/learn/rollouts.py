"""Solutions to learn from: many problems at once, one trace each, and whether their answers are correct."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from steproute.core.errors import BackendError
from steproute.core.grade import Verdict
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.grade_book import GradeBook
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles

IN_FLIGHT: Final = 64
Grade = Callable[[Problem, Trace], Awaitable[bool]]
"""Whether a finished trace's answer is correct."""


async def solve_all(
    problems: Sequence[Problem],
    roles: Roles,
    strategy: Strategy[Episode],
    seed: int = 0,
    *,
    limits: Limits = Limits(),
    in_flight: int = IN_FLIGHT,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> list[Trace]:
    """One trace per problem, in order; `on_trace` is called as each ends."""
    limiter = asyncio.Semaphore(in_flight)

    async def solve(problem: Problem) -> Trace:
        async with limiter:
            trace = await Episode(problem, roles, route="rollouts", limits=limits, seed=seed).run(strategy)
        on_trace(trace)
        return trace

    return list(await asyncio.gather(*(solve(problem) for problem in problems)))


class AnswerGrades:
    """A `Grade` by the grader of a book; an undecided answer counts as incorrect, and so does none.

    undecided: why, for each solution that the grader could not decide.
    """

    def __init__(self, book: GradeBook) -> None:
        self._book = book
        self.undecided: dict[tuple[str, str | None, tuple[str, ...]], str] = {}

    async def __call__(self, problem: Problem, trace: Trace) -> bool:
        """Raises BackendError if the grader's model fails, which says nothing about the answer."""
        try:
            grade = await self._book.grade_or_fail(problem, trace)
        except BackendError as failure:
            raise _failed(problem.id, f"the grader failed: {failure}") from failure
        if grade is not None and grade.verdict is Verdict.UNDECIDED:
            self.undecided[problem.id, trace.answer, tuple(step.text for step in trace.steps)] = grade.note
        return grade is not None and grade.verdict is Verdict.CORRECT


def finished(trace: Trace) -> Trace:
    """The trace; raises BackendError if its problem failed, which says nothing about the models."""
    if trace.failed:
        raise _failed(trace.problem_id, trace.error or "it was cancelled")
    return trace


def _failed(problem_id: str, reason: str) -> BackendError:
    return BackendError(
        f"problem {problem_id!r}: {reason.rstrip('.')}.",
        remedy="The same command goes on where this one stopped; leave the problem out if it always fails.",
    )
