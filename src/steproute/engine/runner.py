"""Many problems at once: a bounded number in flight, each trace on disk when it ends, finished work never repeated."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from steproute.core.errors import SpendingLimitReached
from steproute.core.events import Billed, Event, Finished
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Outcome
from steproute.core.trace import Trace
from steproute.engine.bill_journal import Attempt
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.trace_file import TraceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A strategy and its name on traces, such as `stepwise/threshold=0.35`.

    seed: of every random draw; a problem may be solved by one route at several seeds.
    """

    name: str
    strategy: Strategy[Episode]
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The settings of a run. `in_flight` is how many problems are solved at once.

    keep_failed: whether a problem that failed or fell back stays as it is; otherwise it is tried again.
    """

    limits: Limits = Limits()
    separator: str = DEFAULT_SEPARATOR
    in_flight: int = 32
    keep_failed: bool = False


Grade = Callable[[Problem, Trace], Awaitable[Trace]]
"""The trace with the verdict on its answer, or as it is if there is nothing to judge."""


async def ungraded(problem: Problem, trace: Trace) -> Trace:
    """Leave a trace without a verdict."""
    return trace


async def run(
    work: Iterable[tuple[Route, Problem]],
    roles: Roles,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
    grade: Grade = ungraded,
) -> None:
    """Solve each problem by its route, except those that `traces` already holds; then `traces.get` has all of them.

    A problem that was cancelled or killed is solved again, and so is one that failed or fell back, unless `keep_failed`
    is set. A new trace is graded before it is kept; if grading is cancelled or fails, it is kept without a verdict.
    With a grader that calls a model, the trace is kept without a verdict first and then again with it. `on_trace` is
    called for every finished trace, old or new. If a call does not fit a spending limit, no further problem is started,
    and SpendingLimitReached is raised when those under way have ended.
    """
    queue = _unfinished(work, settings, traces, on_trace)

    limit_errors: list[SpendingLimitReached] = []

    async def work_through() -> None:
        for route, problem in queue:
            if limit_errors:
                return
            episode = Episode(
                problem,
                roles,
                route=route.name,
                limits=settings.limits,
                seed=route.seed,
                separator=settings.separator,
                on_event=_keeper(traces, traces.attempt(route.name, problem.id, route.seed)),
            )
            try:
                trace = await episode.run(route.strategy)
                on_trace(await _kept(trace, problem, traces, grade, paid=roles.grading.is_paid))
            except SpendingLimitReached as failure:  # the others under way may still end within it
                limit_errors.append(failure)

    try:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work_through()) for _ in range(settings.in_flight)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    if any(worker.cancelled() for worker in workers):
        raise RuntimeError("a problem was cancelled, but not by the run: a backend may have raised CancelledError.")
    if limit_errors:
        raise limit_errors[0]


def _unfinished(
    work: Iterable[tuple[Route, Problem]], settings: RunSettings, traces: TraceFile, on_trace: Callable[[Trace], None]
) -> Iterator[tuple[Route, Problem]]:
    for route, problem in work:
        if not traces.finished(route.name, problem.id, route.seed, keep_failed=settings.keep_failed):
            yield route, problem
        elif (trace := traces.get(route.name, problem.id, route.seed)) is not None:
            on_trace(trace)


def _keeper(traces: TraceFile, attempt: Attempt) -> Callable[[Event], None]:
    """Writes an episode's bills to disk as they arrive, and its trace if it is cancelled, which is never graded."""

    def keep(event: Event) -> None:
        if isinstance(event, Billed):
            traces.bill(attempt, event.line.cost_usd)
        elif isinstance(event, Finished) and event.trace.outcome is Outcome.CANCELLED:
            traces.append(event.trace)

    return keep


async def _kept(trace: Trace, problem: Problem, traces: TraceFile, grade: Grade, *, paid: bool) -> Trace:
    """The trace with its verdict, on disk. The solution is paid for, so it is kept even if grading does not return.

    paid: whether a model grades. That may take long, so the trace is written before, in case the process is killed.
    """
    graded = trace
    if paid:
        traces.append(trace)
    try:
        graded = await grade(problem, trace)
    finally:
        if not paid or graded != trace:
            traces.append(graded)
    return graded
