"""TRIM's loop with speculative drafting: the weak model writes the next steps while the PRM scores."""

from dataclasses import dataclass
from math import isfinite

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.solution import Prefix
from steproute.engine.episode import Episode
from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelined(Stepwise):
    """Stepwise with speculative drafting: the same solutions in less time, at the price of some cancelled drafts.

    While step t is scored, the weak model writes up to `lookahead` further steps as if step t were accepted. Each is
    scored as soon as it is written; a rejection cancels them. If the prefix's last known score is below `hedge`, the
    strong model starts step t beside the weak one; accepting the weak draft cancels that. 0 never hedges, more than 1
    always does. Cancelled calls are on the account. Nothing is speculated under a budget that could bind or at a busy
    backend. Raises ConfigError for numbers out of range.
    """

    lookahead: int = 3
    hedge: float = 0.0

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if not (isfinite(self.hedge) and self.hedge >= 0):
            raise ConfigError(
                f"{self.hedge} is not a score.", where="hedge", remedy="Give one in [0, 1], or 0 for never."
            )
        if self.lookahead < 1:
            raise ConfigError(
                f"{self.lookahead} is below 1.",
                where="lookahead",
                remedy="Give 1 or more, or use the strategy stepwise, which does not speculate.",
            )

    async def solve(self, episode: Episode) -> None:
        """Draft, speculate, score, decide, then accept or rewrite, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            if self.reads_scores and _last_score(prefix) < self.hedge:
                episode.speculate("strong", prefix)  # y_t ~ M_s(. | y_1 … y_{t-1}), in case of a rejection
            # y_t ~ M_w(. | y_1 … y_{t-1}), unless speculation has written it
            draft = await episode.propose("weak", prefix, stand_in="strong")
            scores: tuple[float, ...] | None = ()
            if self.reads_scores:
                # y_{t+1} ~ M_w(. | y_1 … y_t) and so on
                episode.speculate("weak", prefix, if_accepted=draft, steps=self.lookahead, judge=self.judge)
                scores = await episode.score(prefix, draft, self.judge)  # r_1 … r_t
            decision = await self.decide(episode, draft, scores)
            if decision != Accept():
                await episode.cancel_speculation("weak")
            prefix = await self.carry_out(episode, prefix, draft, decision)
            await episode.cancel_speculation("strong")


def _last_score(prefix: Prefix) -> float:
    return next((step.score for step in reversed(prefix.steps) if step.score is not None), 1.0)
