"""Seconds per problem in virtual time, each problem alone on idle servers, kept in a file."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from steproute.core.problem import Problem
from steproute.core.writable import writable
from steproute.engine.episode import Episode
from steproute.engine.frame_file import FrameFile
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.simulation.timed_roles import Deployment, timed_roles
from steproute.simulation.virtual_time import run_virtually

Place = tuple[str, str, int]
"""The name of a route, the id of a problem as a file can hold it, and a seed."""

SECONDS: Final = "seconds.jsonl.zst"


class _Line(msgspec.Struct, frozen=True, array_like=True):
    route: str
    problem_id: str
    seed: int
    seconds: float


_decoder: Final = msgspec.json.Decoder(_Line)


class SecondsAlone:
    """How long each problem takes alone, by each route. A context manager, which releases the file.

    Raises ConfigError if another process holds the file, DatasetError if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._frames = FrameFile(path, "virtual seconds")
        lines = (_decoder.decode(frame) for _, frame in self._frames.scan())
        self._known: dict[Place, float] = {(line.route, line.problem_id, line.seed): line.seconds for line in lines}

    def __enter__(self) -> "SecondsAlone":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()

    def of(
        self,
        work: Iterable[tuple[Route, Problem]],
        roles: Roles,
        deployment: Deployment,
        limits: Limits = Limits(),
        calls: Callable[[Place], Hashable] = lambda place: place,
        on_problem: Callable[[], None] = lambda: None,
    ) -> dict[Place, float]:
        """Virtual seconds of all work, by the real engine over `deployment`; what is known is not run again.

        roles: with a step tree in front, which holds the calls already. calls: equal for routes that make the same
        calls for a problem in the same order, which takes the same time.
        """
        return run_virtually(self._measured(work, timed_roles(roles, deployment), limits, calls, on_problem))

    async def _measured(
        self,
        work: Iterable[tuple[Route, Problem]],
        roles: Roles,
        limits: Limits,
        calls: Callable[[Place], Hashable],
        on_problem: Callable[[], None],
    ) -> dict[Place, float]:
        seconds: dict[Place, float] = {}
        alike: dict[Hashable, float] = {}
        current = ""
        for route, problem in work:
            if problem.id != current:  # only routes of one problem are alike
                current, alike = problem.id, {}
            place = route.name, writable(problem.id), route.seed
            if place not in self._known:
                same = calls(place)
                if same not in alike:
                    alike[same] = await _solved_in(route, problem, roles, limits)
                self._keep(place, alike[same])
            seconds[place] = self._known[place]
            on_problem()
        return seconds

    def _keep(self, place: Place, seconds: float) -> None:
        self._known[place] = seconds
        self._frames.append(msgspec.json.encode(_Line(*place, seconds)) + b"\n")


async def _solved_in(route: Route, problem: Problem, roles: Roles, limits: Limits) -> float:
    episode = Episode(problem, roles, route=route.name, limits=limits, seed=route.seed)
    trace = await episode.run(route.strategy)
    return trace.latency_s
