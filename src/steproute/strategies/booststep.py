"""BoostStep: try each step, look up a solved step that is like the try, and write the step again with it in view."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from steproute.core.decision import Accept, Decision
from steproute.core.errors import ConfigError
from steproute.core.ports import Needs
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.retrieval.example_bank import THRESHOLD, ExampleAdviser, load_bank
from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostStep(Stepwise):
    """BoostStep (arXiv 2501.03226) within TRIM's loop: the policy decides about what comes of the second try.

    bank: folder of the example bank. threshold: the least similarity of an example; a step without one keeps its first
    try. when: `always`, as in the paper, or `doubtful`: only where the policy would not accept the first try. Under the
    policy random at 0 and `always` it is the paper's algorithm. Raises ConfigError for a threshold that cannot be,
    ArtifactError for a folder that holds no sound bank.
    """

    routes_turns: ClassVar[bool] = False

    bank: str
    threshold: float = THRESHOLD
    when: Literal["always", "doubtful"] = "doubtful"
    adviser: ExampleAdviser = field(init=False, repr=False)

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"{self.threshold:g} is outside 0 … 1.", where="threshold", remedy="Give the least cosine similarity."
            )
        object.__setattr__(self, "adviser", ExampleAdviser(bank=load_bank(Path(self.bank)), threshold=self.threshold))

    @property
    def needs(self) -> Needs:
        """Those of TRIM's loop, and the bank."""
        return replace(Stepwise(policy=self.policy, judge=self.judge).needs, artifacts=(self.bank,), example=("weak",))

    async def solve(self, episode: Episode) -> None:
        """Try, look up, try again, then decide as TRIM does, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            draft = await episode.propose("weak", prefix, stand_in="strong")  # s_try ~ M(. | q, s_1 … s_i)
            decision = None if self.when == "always" else await self.decision(episode, prefix, draft)
            if decision != Accept():
                advice = self.adviser.advice(prefix, draft.text)  # (q', s'_1 … s'_j), the step most like s_try
                if advice is not None:
                    draft, decision = await episode.propose("weak", prefix.advised(advice), replacing=draft), None
            if decision is None:
                decision = await self.decision(episode, prefix, draft)
            prefix = await self.carry_out(episode, prefix, draft, decision)

    async def decision(self, episode: Episode, prefix: Prefix, draft: Draft) -> Decision:
        """The policy's, about a draft that is scored first if it reads scores."""
        scores = await episode.score(prefix, draft, self.judge) if self.reads_scores else ()
        return await episode.decide(self.policy, draft, scores)
