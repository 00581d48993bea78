"""A policy swept over its knob, beside its anchors and baselines: what to run, and running it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import version
from typing import Final, NamedTuple

from steproute.bench.answers import AnswerChecker, Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.cast import Cast
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile

GRADER: Final = f"answers (steproute {version('steproute')}, math-verify {version('math-verify')})"


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
        """Every route of the sweep, at its first seed."""
        series = (self.policy, *self.baselines)
        return (self.weak, self.strong, *(route for each in series for route in each.routes))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each problem is solved with."""
        return tuple(each.weak.seed for each in (self, *self.repeats))

    def work(self, problems: Sequence[Problem]) -> Iterator[tuple[Route, Problem]]:
        """Every route at every seed, problem by problem, so that an early stop leaves whole problems."""
        every = [route for each in (self, *self.repeats) for route in each.routes]
        return ((route, problem) for problem in problems for route in every)


class Cell(NamedTuple):
    """What a trace is known by. A problem's id is spelled as a file can hold it."""

    route: str
    problem_id: str
    seed: int

    @classmethod
    def of(cls, trace: Trace) -> "Cell":
        """The cell that a trace is in."""
        return cls(trace.route, trace.problem_id, trace.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A sweep's graded traces, which of them were there before, and the dollars of attempts without a result."""

    traces: list[Trace]
    earlier: frozenset[Cell]
    interrupted_usd: Decimal


async def run_sweep(
    sweep: Sweep,
    problems: Sequence[Problem],
    cast: Cast,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> Solved:
    """Solve what `traces` does not hold yet, and grade it.

    Of the traces that are there, those are graded again that are undecided or that another grader judged. Answers that
    are still undecided are tried once more at the end.
    """
    earlier = frozenset(
        Cell(route.name, writable(problem.id), route.seed)
        for route, problem in sweep.work(problems)
        if traces.finished(route.name, problem.id, route.seed, keep_failed=settings.keep_failed)
    )
    with AnswerChecker() as checker:
        grading = _Grading(checker)
        await run(sweep.work(problems), cast, settings, traces, on_trace, grading.grade)
        graded = [
            await grading.up_to_date(trace, problem, traces) for trace, problem in _found(sweep, problems, traces)
        ]
        await checker.retry_undecided()
        for place, (trace, problem) in enumerate(graded):
            if trace.verdict is Verdict.UNDECIDED:
                graded[place] = await grading.up_to_date(trace, problem, traces)
    return Solved(traces=[trace for trace, _ in graded], earlier=earlier, interrupted_usd=traces.abandoned_usd)


def _found(sweep: Sweep, problems: Sequence[Problem], traces: TraceFile) -> Iterator[tuple[Trace, Problem]]:
    for route, problem in sweep.work(problems):
        if (trace := traces.get(route.name, problem.id, route.seed)) is not None:
            yield trace, problem


class _Grading:
    """Puts verdicts on traces."""

    def __init__(self, checker: AnswerChecker) -> None:
        self._checker = checker

    async def grade(self, problem: Problem, trace: Trace) -> Trace:
        """The trace with its verdict; as it is if the problem failed or has no gold answer."""
        if trace.failed or problem.answer is None:
            return trace
        await asyncio.sleep(0)
        verdict = await self._checker.check(trace.answer, problem.answer)
        return replace(trace, verdict=verdict, gold=writable(problem.answer), grader=GRADER)

    async def up_to_date(self, trace: Trace, problem: Problem, traces: TraceFile) -> tuple[Trace, Problem]:
        """The trace with the verdict of this grader, kept in `traces` if it is new."""
        same = trace.grader == GRADER and trace.gold == (problem.answer and writable(problem.answer))
        if same and trace.verdict is not Verdict.UNDECIDED:
            return trace, problem
        graded = await self.grade(problem, trace)
        if graded != trace:
            traces.append(graded)
        return graded, problem
