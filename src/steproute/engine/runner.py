"""Many problems at once: so many in flight, every trace on disk as soon as it ends, finished work never redone."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from steproute.core.events import Event, Finished
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Outcome
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.trace_file import TraceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A strategy under the name that its traces carry, such as `stepwise/threshold=0.35`."""

    name: str
    strategy: Strategy[Episode]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What all problems of a run share. `in_flight` is how many of them are worked on at once."""

    limits: Limits = Limits()
    seed: int = 0
    separator: str = DEFAULT_SEPARATOR
    in_flight: int = 32


async def run(
    work: Iterable[tuple[Route, Problem]],
    cast: Cast,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> list[Trace]:
    """Solve each problem by its route, but those that `traces` already holds; returns all finished traces of `work`.

    A cancelled problem's trace is kept for its account and the problem is solved again on resume. `on_trace` is called
    for every trace, found or new.
    """
    found = {(trace.route, trace.problem_id): trace for trace in traces.found if trace.outcome is not Outcome.CANCELLED}
    results: list[Trace] = []

    def left() -> Iterator[tuple[Route, Problem]]:
        for route, problem in work:
            known = found.get((route.name, problem.id))
            if known is None:
                yield route, problem
            else:
                results.append(known)
                on_trace(known)

    def keep(event: Event) -> None:
        if isinstance(event, Finished):
            traces.append(event.trace)
            if event.trace.outcome is not Outcome.CANCELLED:
                results.append(event.trace)
                on_trace(event.trace)

    queue = left()

    async def work_through() -> None:
        for route, problem in queue:
            episode = Episode(
                problem,
                cast,
                route=route.name,
                limits=settings.limits,
                seed=settings.seed,
                separator=settings.separator,
                on_event=keep,
            )
            await episode.run(route.strategy)

    try:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work_through()) for _ in range(settings.in_flight)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    if any(worker.cancelled() for worker in workers):
        raise RuntimeError("a problem ended by a cancellation that nobody asked for: does a backend leak one?")
    return results
