"""Virtual seconds of what a comparison has solved, with a progress bar."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.cli.terminal import Terminal
from steproute.core.problem import Problem
from steproute.core.route_name import RouteName
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.evaluation.sweep import Cell, Sweep
from steproute.simulation.alone import SECONDS, Place, SecondsAlone
from steproute.simulation.timed_roles import Deployment


def seconds_alone(
    sweep: Sweep,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    roles: Roles,
    deployment: Deployment,
    limits: Limits,
    folder: Path,
) -> Mapping[Cell, float]:
    """How long each problem takes alone, by each route of the sweep.

    traces: what was solved; failed ones have no time. roles: with a step tree in front, which holds the calls already.
    folder: where the seconds are kept.
    """
    solved = {Cell.of(trace): trace for trace in traces if not trace.failed}

    def calls(place: Place) -> Hashable:
        return _calls(solved[Cell(*place)])

    work = [each for each in sweep.work(problems) if _cell(*each) in solved]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Terminal(stderr=True)) as progress, SecondsAlone(folder / SECONDS) as known:
        task = progress.add_task("timing", total=len(work))
        seconds = known.of(work, roles, deployment, limits, calls, lambda: progress.update(task, advance=1))
    return {Cell(*place): taken for place, taken in seconds.items()}


def _cell(route: Route, problem: Problem) -> Cell:
    return Cell(route.name, writable(problem.id), route.seed)


def _calls(trace: Trace) -> Hashable:
    """Equal for two knobs of a policy that come to the same steps by the same calls."""
    name = RouteName.parse(trace.route)
    strategy = trace.route if name is None or name.role else (name.strategy, name.settings)
    return strategy, trace.seed, trace.steps, tuple((line.role, line.purpose, line.usage) for line in trace.account)
