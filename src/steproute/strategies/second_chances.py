"""Second chances: before a more expensive model writes a step again, the weak model gets further tries at it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.ports import REWRITERS, Needs
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.widened import best_of

RESAMPLE: Final = "resample"
RUNGS: Final[Mapping[str, str]] = {RESAMPLE: "the best of several further drafts of the weak model, by the judge"}
"""The second chances, and what each is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondChances(Stepwise):
    """TRIM's loop on a ladder with rungs between the weak model and the next one.

    rungs: in their order. `resample` draws `width` further drafts and keeps the one that the judge scores highest. The
    policy decides after each rung as after each model; a policy `ladder` may have a threshold for each. Not published:
    our extension of TRIM. Raises ConfigError for unknown rungs and for fewer than one draft.
    """

    rungs: tuple[str, ...] = (RESAMPLE,)
    width: int = 4
    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if not self.rungs or len(set(self.rungs)) != len(self.rungs) or not set(self.rungs) <= RUNGS.keys():
            raise ConfigError(
                f"{list(self.rungs)} are no second chances.",
                where="rungs",
                remedy=f"Name some of {', '.join(RUNGS)}, each once.",
            )
        if self.width < 1:
            raise ConfigError(f"{self.width} is below 1.", where="width", remedy="Give how many drafts to draw.")

    @property
    def needs(self) -> Needs:
        """The models among the policy's roles, and the scorer, which chooses among drafts."""
        roles = dict.fromkeys((*Needs().models, *REWRITERS.of(self.policy)))
        return Needs(models=tuple(role for role in roles if role not in RUNGS), scorers=(self.judge,))

    async def decide(self, episode: Episode, draft: Draft, scores: tuple[float, ...] | None) -> Decision:
        """The policy's decision, which may name a rung."""
        return await episode.decide(self.policy, draft, scores, rungs=self.rungs)

    async def written_again(self, episode: Episode, rung: str, prefix: Prefix, draft: Draft) -> Draft:
        """The step that the rung or the role writes."""
        if rung == RESAMPLE:
            return (await self.scored_again(episode, rung, prefix, draft))[0]
        return await Stepwise.written_again(self, episode, rung, prefix, draft)

    async def scored_again(
        self, episode: Episode, rung: str, prefix: Prefix, draft: Draft
    ) -> tuple[Draft, tuple[float, ...] | None]:
        """The same with its scores."""
        if rung == RESAMPLE:
            best, scores = await best_of(episode, "weak", prefix, self.width, "judge", self.judge)
        else:
            best, scores = await Stepwise.scored_again(self, episode, rung, prefix, draft)
        return (best if best is draft or rung not in self.rungs else replace(best, rung=rung)), scores
