"""Choose, then write: a chooser sees the history and says who writes the next step. Nothing is drafted in vain."""

from dataclasses import dataclass

from steproute.core.ports import Chooser, Needs, reads
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Preroute:
    """Each step has one call, by the role that the chooser names before it is written.

    Source: BAAR (arXiv 2602.21227). Accepted steps are scored only if the chooser reads scores.
    """

    chooser: Chooser

    @property
    def needs(self) -> Needs:
        """Both models, and the scorer if the chooser reads scores."""
        return Needs(scorers=("prm",) if reads(self.chooser, "scores") else ())

    async def solve(self, episode: Episode) -> None:
        """Score what there is, choose, write and keep, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            scored = reads(self.chooser, "scores") and bool(prefix.steps)
            role = episode.choose(self.chooser, await episode.score(prefix, None) if scored else ())  # a_t ~ π(· | s_t)
            stand_in = "strong" if role == "weak" else None
            prefix = await episode.accept(await episode.propose(role, prefix, stand_in=stand_in))
