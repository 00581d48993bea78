"""A policy swept over its knob, beside its anchors and baselines: what to run, and running it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.grade_book import GradeBook, Graded, grade_all
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile

__all__ = ["Graded", "Series", "Sweep", "run_sweep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One policy at several knobs: `routes[i]` runs it at `knobs[i]`."""

    name: str
    knobs: tuple[float, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The policy under study, the two anchors, and baselines for the same table."""

    weak: Route
    strong: Route
    policy: Series
    baselines: tuple[Series, ...] = ()

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route of the sweep."""
        series = (self.policy, *self.baselines)
        return (self.weak, self.strong, *(route for each in series for route in each.routes))

    def work(self, problems: Sequence[Problem]) -> Iterator[tuple[Route, Problem]]:
        """Every route on every problem, problem by problem, so that an early stop leaves whole problems."""
        return ((route, problem) for problem in problems for route in self.routes)


async def run_sweep(
    sweep: Sweep,
    problems: Sequence[Problem],
    cast: Cast,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
    book: GradeBook | None = None,
) -> list[Graded]:
    """Solve what `traces` does not hold yet, then grade every trace by the cast's grader; `book` holds its grades."""
    await run(sweep.work(problems), cast, settings, traces, on_trace)
    pairs = [
        (problem, trace)
        for route, problem in sweep.work(problems)
        if (trace := traces.get(route.name, problem.id)) is not None
    ]
    at_once = settings.in_flight if cast.grading.is_paid else 1
    return await grade_all(pairs, book or GradeBook(cast.grading), settings.separator, at_once)
