"""MPPA's inference: several plans before a step, merged into one step."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from steproute.core.errors import ConfigError
from steproute.core.ports import Needs
from steproute.core.solution import Advice, Draft, Prefix
from steproute.engine.episode import Episode
from steproute.policies.planning import Schedule, is_plan, tokens_of
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.widened import best_of

Merge = Literal["write", "vote", "judge"]
_LONGEST: Final = 400  # characters of a plan that the aggregator sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Stepwise):
    """Multi-path plan aggregation (arXiv 2510.11620) within TRIM's loop: the policy decides about the merged step.

    At the steps of the schedule the weak model writes `plans` next steps at `temperature` more than its own, and they
    are merged: `write` has the role `aggregator` write one step with the plans in view, `vote` takes the most frequent
    one and `judge` the one that the scorer likes best. every_step: gather plans whenever the schedule is due; else only
    if the first of them is a planning step by its opening. With `aggregator = "strong"` the strong model edits cheap
    plans: our extension. After the paper's abstract and reviews, since its text could not be read. Raises ConfigError
    for fewer than two plans.
    """

    routes_turns: ClassVar[bool] = False

    plans: int = 4
    merge: Merge = "write"
    aggregator: str = "strong"
    temperature: float = 0.3
    every_step: bool = True
    gap: int = 40
    slowing: int = 400
    schedule: Schedule = field(init=False, repr=False)

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        object.__setattr__(self, "schedule", Schedule(self.gap, self.slowing))
        if self.plans < 2:
            raise ConfigError(f"{self.plans} is below 2.", where="plans", remedy="Give how many to merge.")

    @property
    def chooses(self) -> bool:
        """Whether the scorer chooses among plans."""
        return self.merge == "judge"

    @property
    def needs(self) -> Needs:
        """Those of TRIM's loop, the aggregator if there is one, and the scorer if it chooses."""
        own = Stepwise(policy=self.policy, judge=self.judge).needs
        models = (*own.models, self.aggregator) if self.merge == "write" else own.models
        scorers = (*own.scorers, self.judge) if self.merge == "judge" else own.scorers
        return Needs(
            models=tuple(dict.fromkeys(models)),
            scorers=tuple(dict.fromkeys(scorers)),
            plans=(self.aggregator,) if self.merge == "write" else (),
        )

    async def solve(self, episode: Episode) -> None:
        """Gather plans and merge them where the schedule says so, draft elsewhere; then decide as TRIM does."""
        prefix, last = episode.start(), None
        while not prefix.finished:
            if self.schedule.is_due(prefix, last):
                draft, last = await self.merged(episode, prefix), tokens_of(prefix)
            else:
                draft = await episode.propose("weak", prefix, stand_in="strong")
            if draft.role == "strong":
                prefix = await episode.accept(draft)
                continue
            scores = await episode.score(prefix, draft, self.judge) if self.reads_scores else ()
            prefix = await self.carry_out(episode, prefix, draft, await self.decide(episode, draft, scores))

    async def merged(self, episode: Episode, prefix: Prefix) -> Draft:
        """One step out of several: c ~ p_H(. | c_1 … c_{m-1}, plans), or chosen among them."""
        warmer = episode.roles.model("weak").sampling.temperature + self.temperature
        if self.merge != "write":
            by: Literal["votes", "judge"] = "votes" if self.merge == "vote" else "judge"
            return (await best_of(episode, "weak", prefix, self.plans, by, self.judge, warmer))[0]
        candidates = await episode.candidates("weak", [prefix], self.plans, temperature=warmer)
        first = candidates[0].draft
        if len(candidates) == 1 or not (self.every_step or is_plan(first.text)):
            return first
        plans = tuple(each.draft.text[:_LONGEST] for each in candidates)
        return await episode.propose(self.aggregator, prefix.advised(Advice(plans=plans)), replacing=first)
