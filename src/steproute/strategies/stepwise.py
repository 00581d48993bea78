"""TRIM: the weak model writes each step, the PRM scores it, a policy accepts it or has another model rewrite it."""

from dataclasses import dataclass, field
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.ports import REWRITERS, SCORES_REWRITES, AskedPolicy, Needs, Policy, reads
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepwise:
    """TRIM's loop, with takeovers and with roles between the weak and the strong model.

    `takeover_steps` is how many steps a takeover writes; None lets it write to the end. `judge` is the role of the
    scorer. Raises ConfigError for a takeover of less than one step.
    """

    routes_turns: ClassVar[bool] = True

    policy: Policy | AskedPolicy
    takeover_steps: int | None = None
    judge: str = "prm"
    reads_scores: bool = field(init=False, repr=False)
    scores_rewrites: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads_scores", reads(self.policy, "scores"))
        object.__setattr__(self, "scores_rewrites", SCORES_REWRITES.of(self.policy))
        if self.takeover_steps is not None and self.takeover_steps < 1:
            raise ConfigError(
                f"{self.takeover_steps} is below 1.", where="takeover_steps", remedy="Leave it out for 'to the end'."
            )

    @property
    def needs(self) -> Needs:
        """Both models, the other roles that the policy names, and the scorer if it reads scores."""
        models = dict.fromkeys((*Needs().models, *REWRITERS.of(self.policy)))
        return Needs(models=tuple(models), scorers=(self.judge,) if self.reads_scores else ())

    async def solve(self, episode: Episode) -> None:
        """Draft, score, decide, then accept or rewrite, until the solution ends."""
        await self.go_on(episode, episode.start())

    async def go_on(self, episode: Episode, prefix: Prefix) -> None:
        """The same from a prefix."""
        while not prefix.finished:
            draft = await episode.propose("weak", prefix, stand_in="strong")  # y_t ~ M_w(. | y_1 … y_{t-1})
            scores = await episode.score(prefix, draft, self.judge) if self.reads_scores else ()  # r_1 … r_t
            decision = await self.decide(episode, draft, scores)
            prefix = await self.carry_out(episode, prefix, draft, decision)

    async def decide(self, episode: Episode, draft: Draft, scores: tuple[float, ...] | None) -> Decision:
        """The policy's decision about the draft."""
        return await episode.decide(self.policy, draft, scores)

    async def written_again(self, episode: Episode, rung: str, prefix: Prefix, draft: Draft) -> Draft:
        """The step that the ladder's rung writes in the draft's place; the draft itself if the limits say so."""
        return await episode.propose(rung, prefix, replacing=draft)

    async def scored_again(
        self, episode: Episode, rung: str, prefix: Prefix, draft: Draft
    ) -> tuple[Draft, tuple[float, ...] | None]:
        """The same with its scores."""
        rewritten = await self.written_again(episode, rung, prefix, draft)
        return rewritten, () if rewritten is draft else await episode.score(prefix, rewritten, self.judge)

    async def carry_out(self, episode: Episode, prefix: Prefix, draft: Draft, decision: Decision) -> Prefix:
        """The prefix after a decision, and after those about the rewritten drafts if the policy decides about them."""
        while self.scores_rewrites and isinstance(decision, Rewrite) and _is_one_step_below(decision):
            rewritten, scores = await self.scored_again(episode, decision.role, prefix, draft)
            if rewritten is draft:
                return await episode.accept(draft)
            draft, decision = rewritten, await self.decide(episode, rewritten, scores)
        if isinstance(decision, Accept):
            return await episode.accept(draft)
        return await self._rewrite(episode, prefix, draft, decision)

    async def _rewrite(self, episode: Episode, prefix: Prefix, draft: Draft, decision: Rewrite) -> Prefix:
        """The prefix after the role has written the decision's number of steps."""
        role, steps = decision.role, self.takeover_steps if decision.steps is None else decision.steps
        if steps is None:
            return await episode.finish(role, prefix, replacing=draft)
        rewritten = await self.written_again(episode, role, prefix, draft)  # y_t ~ M_s(. | y_1 … y_{t-1})
        prefix = await episode.accept(rewritten)
        for _ in range(steps - 1):
            if prefix.finished:
                break
            prefix = await episode.accept(await episode.propose(role, prefix))
        return prefix


def _is_one_step_below(decision: Rewrite) -> bool:
    """Whether one step of a rung below the strong model is asked for, which a policy may decide about."""
    return decision.role != "strong" and decision.steps == 1
