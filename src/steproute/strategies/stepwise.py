"""TRIM: weak writes each step, the process reward model scores it, a policy keeps it or has strong write it again."""

from dataclasses import dataclass

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.ports import Needs, Policy, reads
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepwise:
    """TRIM's loop (TRIM, the loop), with takeover beside regenerate.

    `takeover_steps` is how many steps strong writes once it takes over; None lets it write to the end. `judge` is the
    role of the scorer. Raises ConfigError for a takeover of less than one step.
    """

    policy: Policy
    takeover_steps: int | None = None
    judge: str = "prm"

    def __post_init__(self) -> None:
        if self.takeover_steps is not None and self.takeover_steps < 1:
            raise ConfigError(
                f"{self.takeover_steps} is below 1.", where="takeover_steps", remedy="Leave it out for 'to the end'."
            )

    @property
    def needs(self) -> Needs:
        """Both models, and the judge where the policy reads scores."""
        return Needs(scorers=(self.judge,) if reads(self.policy, "scores") else ())

    async def solve(self, episode: Episode) -> None:
        """Draft, score, decide, accept, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            draft = await episode.propose("weak", prefix, stand_in="strong")  # y_t ~ M_w(. | y_1 … y_{t-1})
            scores = await episode.score(prefix, draft, self.judge) if reads(self.policy, "scores") else ()  # r_1 … r_t
            decision = await self.decide(episode, draft, scores)
            prefix = await self.act(episode, prefix, draft, decision)

    async def decide(self, episode: Episode, draft: Draft, scores: tuple[float, ...] | None) -> Decision:
        """The policy's decision about the draft; training asks its environment here."""
        return episode.decide(self.policy, draft, scores)

    async def act(self, episode: Episode, prefix: Prefix, draft: Draft, decision: Decision) -> Prefix:
        """The prefix after the decision is carried out."""
        if decision is Decision.TAKEOVER:
            return await self._take_over(episode, prefix, draft)
        if decision is Decision.REGENERATE:
            draft = await episode.propose("strong", prefix, replacing=draft)  # y_t ~ M_s(. | y_1 … y_{t-1})
        return episode.accept(draft)

    async def _take_over(self, episode: Episode, prefix: Prefix, draft: Draft) -> Prefix:
        if self.takeover_steps is None:
            return episode.accept(await episode.propose("strong", prefix, replacing=draft, to_end=True))
        prefix = episode.accept(await episode.propose("strong", prefix, replacing=draft))
        for _ in range(self.takeover_steps - 1):
            if prefix.finished:
                break
            prefix = episode.accept(await episode.propose("strong", prefix))
        return prefix
