"""R2-Reasoner: a planner breaks the problem into sub-tasks, and an allocator gives each one to a model."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from steproute.core.errors import ConfigError
from steproute.core.ports import Needs
from steproute.core.solution import Advice, Prefix
from steproute.engine.episode import Episode
from steproute.policies.allocation import Allocator, Everything, Outline
from steproute.policies.allocation_model import load_allocation
from steproute.strategies.r2_plan import plan_question, subtasks_in

_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class R2Reasoner:
    """After Route-and-Reason (arXiv 2506.05901), of whose text only parts could be read.

    allocation: the folder of a fitted allocation, or the role that writes everything. price: of the strong model's
    usual solution, in correct answers; a fitted allocation weighs its chances by it. mode: `once` allocates all
    sub-tasks before the first step, as the paper does; `online` allocates again before each one, with the steps so far
    in view. planner: the role that writes the plan. Raises ConfigError for a price below 0, ArtifactError for a folder
    that holds no sound allocation.
    """

    allocation: str
    price: float = 0.5
    mode: Literal["once", "online"] = "once"
    planner: str = "planner"
    allocator: Allocator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.price < float("inf"):
            raise ConfigError(f"{self.price:g} is no price.", where="price", remedy="Give 0 or more.")
        folder = Path(self.allocation) if self._is_fitted else None
        allocator = Everything(self.allocation) if folder is None else load_allocation(folder).at(self.price)
        object.__setattr__(self, "allocator", allocator)

    @property
    def _is_fitted(self) -> bool:
        return "/" in self.allocation

    @property
    def needs(self) -> Needs:
        """The roles that the allocation names, each of which has to read its sub-task, and the planner."""
        roles = self.allocator.roles
        return Needs(
            models=tuple(dict.fromkeys((*roles, self.planner))),
            artifacts=(self.allocation,) if self._is_fitted else (),
            subtasks=roles,
        )

    async def solve(self, episode: Episode) -> None:
        """Plan, allocate, and have each model carry out its sub-tasks; the last ones of one role are one call."""
        prefix = episode.start()
        subtasks = await self.subtasks(episode)  # t_1 … t_n ~ M_decomp(q)
        if not subtasks:
            await episode.finish(self.allocator.roles[-1], prefix)
            return
        roles = self.allocated(episode, prefix, subtasks)  # M_1 … M_n = M_alloc(q, t_1 … t_n)
        for number in range(1, len(subtasks) + 1):
            if self.mode == "online" and number > 1:
                roles = self.allocated(episode, prefix, subtasks)
            role, roles = roles[0], roles[1:]
            stand_in = "strong" if role == "weak" else None
            if self.mode == "once" and set(roles) <= {role}:
                told = prefix.advised(Advice(subtasks=subtasks, assigned=(number, len(subtasks))))
                prefix = await episode.finish(role, told, stand_in=stand_in)  # a_j … a_n
            else:
                told = prefix.advised(Advice(subtasks=subtasks, assigned=(number, number)))
                prefix = await episode.accept(await episode.propose(role, told, stand_in=stand_in))  # a_j
            if prefix.finished:
                return
        await episode.finish(role, prefix, stand_in=stand_in)

    async def subtasks(self, episode: Episode) -> tuple[str, ...]:
        """The planner's; none if it writes no plan twice."""
        asked = replace(episode.empty, problem=plan_question(episode.problem))
        for _ in range(_TRIES):
            plan = await episode.propose(self.planner, asked, to_end=True)
            if subtasks := subtasks_in(plan.text):
                return subtasks
        episode.note(
            f"{self.planner} wrote no plan in {_TRIES} tries, so {self.allocator.roles[-1]} writes everything."
        )
        return ()

    def allocated(self, episode: Episode, prefix: Prefix, subtasks: tuple[str, ...]) -> tuple[str, ...]:
        """A role for each sub-task that is left."""
        prices = {role: episode.roles.model(role).price for role in self.allocator.roles}
        outline = Outline(
            problem=episode.problem.text,
            subtasks=subtasks,
            steps=prefix.written,
            prices=prices,
            closes=self.mode == "once",
        )
        return self.allocator.allocate(outline)
