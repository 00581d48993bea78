"""A policy swept over its knob, beside its anchors and baselines: what to run, and running it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import version
from typing import Final, NamedTuple

from steproute.core.concurrency import map_concurrently
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.grade_book import GradeBook
from steproute.engine.roles import Roles
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile

_VERSIONS: Final = f"steproute {version('steproute')}, math-verify {version('math-verify')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One policy at several knobs: `routes[i]` runs it at `knobs[i]`."""

    name: str
    knobs: tuple[float, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The policy under study, the two anchors, and baselines for the same table, all at one seed.

    repeats: the same sweep at further seeds, with the same names of routes.
    """

    weak: Route
    strong: Route
    policy: Series
    baselines: tuple[Series, ...] = ()
    repeats: "tuple[Sweep, ...]" = ()

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route of the sweep, once, at its first seed."""
        series = (self.policy, *self.baselines)
        every = (self.weak, self.strong, *(route for each in series for route in each.routes))
        return tuple({route.name: route for route in every}.values())

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each problem is solved with."""
        return tuple(each.weak.seed for each in (self, *self.repeats))

    def work(self, problems: Sequence[Problem]) -> Iterator[tuple[Route, Problem]]:
        """Every route at every seed once, problem by problem, so that an early stop leaves whole problems."""
        every = {(route.name, route.seed): route for each in (self, *self.repeats) for route in each.routes}
        return ((route, problem) for problem in problems for route in every.values())


class Cell(NamedTuple):
    """What a trace is known by. A problem's id is spelled as a file can hold it."""

    route: str
    problem_id: str
    seed: int

    @classmethod
    def of(cls, trace: Trace) -> "Cell":
        """The cell that a trace is in."""
        return cls(trace.route, trace.problem_id, trace.seed)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # asyncio.run formats its result, and nobody reads it
class Solved:
    """A sweep's graded traces, which of them were there before, and the dollars of attempts without a result.

    grading_usd: what the grader was paid; reasons: why answers are undecided, one for each.
    """

    traces: list[Trace]
    earlier: frozenset[Cell]
    interrupted_usd: Decimal
    grading_usd: Decimal = Decimal(0)
    reasons: tuple[str, ...] = ()


async def run_sweep(
    sweep: Sweep,
    problems: Sequence[Problem],
    roles: Roles,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
    book: GradeBook | None = None,
) -> Solved:
    """Solve what `traces` does not hold yet, and grade it by the roles' grader; `book` holds its grades.

    Of the traces that are there, those are graded again that are undecided or that another grader judged.
    """
    earlier = frozenset(
        Cell(route.name, writable(problem.id), route.seed)
        for route, problem in sweep.work(problems)
        if traces.finished(route.name, problem.id, route.seed, keep_failed=settings.keep_failed)
    )
    book = book or GradeBook(roles.grading)
    grading = _Grading(book, f"{roles.grading.name} ({_VERSIONS})", settings.separator)
    await run(sweep.work(problems), roles, settings, traces, on_trace, grading.grade)

    async def current(solved: tuple[Trace, Problem]) -> Trace:
        trace, problem = solved
        return await grading.up_to_date(trace, problem, traces) if Cell.of(trace) in earlier else trace

    in_flight = settings.in_flight if roles.grading.is_paid else 1
    graded = await map_concurrently(current, _found(sweep, problems, traces), in_flight=in_flight)
    return Solved(
        traces=graded,
        earlier=earlier,
        interrupted_usd=traces.abandoned_usd,
        grading_usd=book.spent_usd,
        reasons=tuple(grading.reasons),
    )


def _found(sweep: Sweep, problems: Sequence[Problem], traces: TraceFile) -> Iterator[tuple[Trace, Problem]]:
    for route, problem in sweep.work(problems):
        if (trace := traces.get(route.name, problem.id, route.seed)) is not None:
            yield trace, problem


class _Grading:
    """Puts verdicts on traces; `reasons` say why some are undecided."""

    def __init__(self, book: GradeBook, grader: str, separator: str) -> None:
        self._book, self._grader, self._separator = book, grader, separator
        self.reasons: list[str] = []

    async def grade(self, problem: Problem, trace: Trace) -> Trace:
        """The trace with its verdict; as it is if there is nothing to judge."""
        await asyncio.sleep(0)
        grade = await self._book.grade(problem, trace, self._separator)
        if grade is None:
            return trace
        if grade.note:
            self.reasons.append(grade.note)
        gold = None if problem.answer is None else writable(problem.answer)
        return replace(trace, verdict=grade.verdict, gold=gold, grader=self._grader)

    async def up_to_date(self, trace: Trace, problem: Problem, traces: TraceFile) -> Trace:
        """The trace with the verdict of this grader, kept in `traces` if it is new."""
        same = trace.grader == self._grader and trace.gold == (problem.answer and writable(problem.answer))
        if same and trace.verdict is not Verdict.UNDECIDED:
            return trace
        graded = await self.grade(problem, trace)
        if graded != trace:
            traces.append(graded)
        return graded
