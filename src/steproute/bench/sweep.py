"""A policy swept over its knob, beside its anchors and baselines: what to run, and running it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from steproute.bench.answers import AnswerChecker, Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A trace and the verdict on its answer; None if the problem failed, which is not an incorrect answer."""

    trace: Trace
    verdict: Verdict | None


async def run_sweep(
    sweep: Sweep,
    problems: Sequence[Problem],
    cast: Cast,
    settings: RunSettings,
    traces: TraceFile,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> list[Graded]:
    """Solve what `traces` does not hold yet, then grade every trace; undecided answers are tried again at the end."""
    await run(sweep.work(problems), cast, settings, traces, on_trace)
    gold = {problem.id: problem for problem in problems}
    with AnswerChecker() as checker:
        graded = [
            Graded(trace=trace, verdict=await _verdict(checker, trace, problem))
            for route, problem in sweep.work(problems)
            if (trace := traces.get(route.name, problem.id)) is not None
        ]
        await checker.retry_undecided()
        return [await _settled(item, checker, gold[item.trace.problem_id]) for item in graded]


async def _verdict(checker: AnswerChecker, trace: Trace, problem: Problem) -> Verdict | None:
    if trace.failed or problem.answer is None:
        return None
    await asyncio.sleep(0)
    return await checker.check(trace.answer, problem.answer)


async def _settled(item: Graded, checker: AnswerChecker, problem: Problem) -> Graded:
    """The same trace with the verdict of the second try, if the first one was undecided."""
    if item.verdict is not Verdict.UNDECIDED:
        return item
    return replace(item, verdict=await _verdict(checker, item.trace, problem))
