"""Second chances: before a more expensive model writes a step again, the weak model gets further tries at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.ports import REWRITERS, Needs
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.policies.trim.rung_table import RungTable
from steproute.retrieval.example_bank import THRESHOLD, ExampleAdviser, load_bank
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.widened import best_of

RETRY: Final = "retry"
RESAMPLE: Final = "resample"
RUNGS: Final[Mapping[str, str]] = {
    RETRY: "the weak model once more, with a solved step like the rejected one in view",
    RESAMPLE: "the best of several further drafts of the weak model, by the judge",
}
"""The second chances, and what each is."""

_DRAFTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondChances(Stepwise):
    """TRIM's loop on a ladder with rungs between the weak model and the next one.

    rungs: in their order. `retry` shows the weak model the step of the example bank, a folder, that is most like the
    rejected draft, if one is at least `threshold` alike; else the draft stays. `resample` draws `width` further drafts
    at `temperature`, by default four or as many as the policy's tables were fitted to, and keeps the one that the judge
    scores highest. The policy decides after each rung as after each model; it may have a threshold for each. Not
    published: our extension of TRIM. Raises ConfigError for rungs that cannot be, for fewer than one draft and for
    another width than that of the policy's tables, ArtifactError for a folder that holds no sound bank.
    """

    rungs: tuple[str, ...] = (RESAMPLE,)
    width: int | None = None
    temperature: float = 1.0
    bank: str = ""
    threshold: float = THRESHOLD
    chooses: ClassVar[bool] = True
    routes_turns: ClassVar[bool] = False
    adviser: ExampleAdviser | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if not self.rungs or len(set(self.rungs)) != len(self.rungs) or not set(self.rungs) <= RUNGS.keys():
            raise ConfigError(
                f"{list(self.rungs)} are no second chances.",
                where="rungs",
                remedy=f"Name some of {', '.join(RUNGS)}, each once.",
            )
        if self.drafts < 1:
            raise ConfigError(f"{self.width} is below 1.", where="width", remedy="Give how many drafts to draw.")
        if (RETRY in self.rungs) != bool(self.bank):
            raise ConfigError(
                "the rung retry and an example bank belong together.",
                where="bank",
                remedy="Train one by `steproute train --policy example-bank`, or leave both out.",
            )
        if isinstance(self.policy, RungTable) and RESAMPLE in self.rungs and self.policy.width != self.drafts:
            raise ConfigError(
                f"{self.width} drafts, and the tables of the policy were fitted to {self.policy.width}.",
                where="width",
                remedy=f"Leave width out, or train the policy with --width {self.width}.",
            )
        bank = load_bank(Path(self.bank)) if self.bank else None
        adviser = None if bank is None else ExampleAdviser(bank=bank, threshold=self.threshold)
        object.__setattr__(self, "adviser", adviser)

    @property
    def drafts(self) -> int:
        """How many drafts `resample` draws: `width`, else as many as a table was fitted to, else four."""
        if self.width is not None:
            return self.width
        return self.policy.width if isinstance(self.policy, RungTable) else _DRAFTS

    @property
    def needs(self) -> Needs:
        """The models among the policy's roles, and the scorer, which chooses among drafts."""
        roles = dict.fromkeys((*Needs().models, *REWRITERS.of(self.policy)))
        return Needs(
            models=tuple(role for role in roles if role not in RUNGS),
            scorers=(self.judge,),
            artifacts=(self.bank,) if self.bank else (),
            example=("weak",) if self.bank else (),
        )

    async def decide(self, episode: Episode, draft: Draft, scores: tuple[float, ...] | None) -> Decision:
        """The policy's decision, which may name a rung."""
        return await episode.decide(self.policy, draft, scores, rungs=self.rungs)

    async def written_again(self, episode: Episode, rung: str, prefix: Prefix, draft: Draft) -> Draft:
        """The step that the rung or the role writes."""
        if rung == RESAMPLE:
            return (await self.scored_again(episode, rung, prefix, draft))[0]
        if rung == RETRY:
            return await self._with_example(episode, prefix, draft)
        return await Stepwise.written_again(self, episode, rung, prefix, draft)

    async def scored_again(
        self, episode: Episode, rung: str, prefix: Prefix, draft: Draft
    ) -> tuple[Draft, tuple[float, ...] | None]:
        """The same with its scores."""
        if rung == RESAMPLE:
            best, scores = await best_of(episode, "weak", prefix, self.drafts, "judge", self.judge, self.temperature)
        else:
            best, scores = await Stepwise.scored_again(self, episode, rung, prefix, draft)
        return (best if best is draft or rung not in self.rungs else replace(best, rung=rung)), scores

    async def _with_example(self, episode: Episode, prefix: Prefix, draft: Draft) -> Draft:
        """The weak model's step with an example in view; the same draft on the next rung if there is none."""
        assert self.adviser is not None
        advice = self.adviser.advice(prefix, draft.text)
        if advice is None:
            return replace(draft, rung=RETRY)
        return await episode.propose("weak", prefix.advised(advice), replacing=draft)
