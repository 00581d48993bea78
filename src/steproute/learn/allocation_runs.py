"""Solutions to fit an allocation to: each sub-task goes to a role at random."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from steproute.core.problem import Problem
from steproute.core.seeded import uniform
from steproute.core.solution import Prefix
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.allocation_fit import Attempt
from steproute.learn.rollouts import Grade, solve_all
from steproute.strategies.r2_reasoner import R2Reasoner


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration(R2Reasoner):
    """Draws the author of every sub-task, each a call of its own, and keeps the plans by problem."""

    among: tuple[str, ...]
    seed: int
    plans: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def subtasks(self, episode: Episode) -> tuple[str, ...]:
        """The planner's."""
        subtasks = self.plans[episode.problem.id] = await R2Reasoner.subtasks(self, episode)
        return subtasks

    def allocated(self, episode: Episode, prefix: Prefix, subtasks: tuple[str, ...]) -> tuple[str, ...]:
        """The same draws for the same seed and problem."""
        places = range(len(prefix.written), len(subtasks))
        draws = (uniform(f"allocation/{self.seed}/{episode.problem.id}/{place}") for place in places)
        return tuple(self.among[int(draw * len(self.among))] for draw in draws)


async def explored(
    problems: Sequence[Problem],
    roles: Roles,
    among: tuple[str, ...],
    grade: Grade,
    *,
    planner: str = "planner",
    limits: Limits = Limits(),
    seed: int = 0,
) -> list[Attempt]:
    """One attempt per problem whose authors are drawn from `among`; those that failed or had no plan are left out."""
    strategy = Exploration(allocation=among[-1], mode="online", planner=planner, among=among, seed=seed)
    traces = await solve_all(problems, roles, strategy, seed, limits=limits)
    return [
        attempt_of(problem, trace, plan, await grade(problem, trace), planner)
        for problem, trace in zip(problems, traces, strict=True)
        if not trace.unsettled and (plan := strategy.plans.get(problem.id))
    ]


def attempt_of(problem: Problem, trace: Trace, subtasks: tuple[str, ...], correct: bool, planner: str) -> Attempt:
    """A trace as an attempt. Steps beyond the sub-tasks are left out."""
    reading = next(line.usage.read_tokens for line in trace.account if line.role != planner)
    steps = tuple(step for step in trace.steps)[: len(subtasks)]
    return Attempt(problem=problem.text, subtasks=subtasks, steps=steps, read_tokens=reading, correct=correct)
