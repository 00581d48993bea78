"""Labels for routers: the cheapest role that suffices at each step, found by locking the steps one after another.

Source: TwinRouterBench (arXiv 2605.18859), algorithm A1, "sequential locking", without its hints. Repetitions instead
of one pass, and the share of them that has to pass, are ours.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from steproute.core.errors import ConfigError
from steproute.core.observation import Moment
from steproute.core.ports import Reading
from steproute.core.problem import Problem
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.rollouts import Grade, finished, solve_all
from steproute.strategies.preroute import Preroute


@dataclass(frozen=True, slots=True)
class Assigned:
    """A role for each step, and the most expensive one for every later step."""

    roles: tuple[str, ...]
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def choose(self, moment: Moment) -> str:
        """By the step's number alone."""
        number = moment.step - 1
        return self.roles[number] if number < len(self.roles) else moment.ladder[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLabel:
    """The cheapest sufficient role of one step.

    passes, runs: how many solutions were correct with it, the roles of earlier steps, and the most expensive role
    after it.
    """

    role: str
    passes: int
    runs: int


class Downgrading:
    """Labels of problems by runs over the roles, which should have a step tree of width `runs` or more before them.

    seed: of the first run; the others have the next ones.

    A role suffices if `required` of its runs are correct with as many steps as the seed run, always the most expensive
    role. Labels are conditional: earlier steps have the roles that were locked, later ones the most expensive. Raises
    ConfigError for a `required` outside [0, 1].
    """

    def __init__(
        self,
        roles: Roles,
        grade: Grade,
        *,
        limits: Limits = Limits(),
        runs: int = 5,
        required: float = 0.8,
        seed: int = 0,
    ) -> None:
        if not 0 <= required <= 1:
            raise ConfigError(f"{required} is outside [0, 1].", where="required", remedy="Give a share of the runs.")
        self._roles, self._grade, self._limits = roles, grade, limits
        self._runs, self.required, self._seed = runs, required, seed

    async def labels(self, problem: Problem) -> tuple[StepLabel, ...] | None:
        """A label for each step of the seed run; None if the most expensive role does not suffice throughout.

        N (|roles| − 1) runs at most for N steps, each `runs` times. Raises BackendError if one fails.
        """
        *cheaper, best = self._roles.ladder
        steps = await self.steps(problem)
        passes = 0 if steps is None else await self.passes(problem, (best,) * steps)
        if steps is None or not self.suffice(passes):
            return None
        locked: tuple[StepLabel, ...] = ()
        for number in range(steps):
            before, after = tuple(label.role for label in locked), (best,) * (steps - number - 1)
            label = StepLabel(role=best, passes=passes, runs=self._runs)
            for role in cheaper:
                tried = await self.passes(problem, (*before, role, *after))
                if self.suffice(tried):
                    label, passes = StepLabel(role=role, passes=tried, runs=self._runs), tried
                    break
            locked = (*locked, label)
        return locked

    async def steps(self, problem: Problem) -> int | None:
        """The steps of the seed run; None if its answer is incorrect."""
        best = Preroute(chooser=Assigned(()))
        (trace,) = await solve_all([problem], self._roles, best, self._seed, limits=self._limits)
        return len(trace.steps) if await self._grade(problem, finished(trace)) else None

    async def passes(self, problem: Problem, roles: Sequence[str]) -> int:
        """How many of the runs with these roles are correct and have as many steps. Raises BackendError."""
        strategy, seeds = Preroute(chooser=Assigned(tuple(roles))), range(self._seed, self._seed + self._runs)
        traces = await asyncio.gather(
            *(solve_all([problem], self._roles, strategy, seed, limits=self._limits) for seed in seeds)
        )
        passed = [await self._grade(problem, finished(trace)) and len(trace.steps) == len(roles) for (trace,) in traces]
        return sum(passed)

    def suffice(self, passes: int) -> bool:
        """Whether so many of the runs are enough."""
        return passes >= self.required * self._runs
