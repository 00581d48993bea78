"""Discard and start over.

The weak model writes steps, which the PRM scores. At the first step that the policy does not accept, the strong model
solves the whole problem from scratch. No model has to continue another one's text.
"""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept
from steproute.core.ports import Needs, Policy, reads
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """A cascade with early exit at step level: AutoMix's escalation, decided by the scores of a PRM."""

    policy: Policy
    retracts: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        """Both models, and the PRM if the policy reads scores."""
        return Needs(scorers=("prm",) if reads(self.policy, "scores") else ())

    async def solve(self, episode: Episode) -> None:
        """Draft, score and decide step by step; escalate at most once."""
        prefix = empty = episode.start()
        reads_scores = reads(self.policy, "scores")
        while not prefix.finished:
            draft = await episode.propose("weak", prefix, stand_in="strong")
            scores = await episode.score(prefix, draft) if reads_scores else ()
            if await episode.decide(self.policy, draft, scores) != Accept():
                solution = await episode.propose("strong", empty, replacing=draft, to_end=True)
                if solution is not draft:
                    episode.restart()
                draft = solution
            prefix = await episode.accept(draft)
