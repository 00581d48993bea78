"""Choose, then write: a chooser sees the history and says who writes the next step. Nothing is drafted in vain."""

from dataclasses import dataclass

from steproute.core.errors import BudgetExceeded
from steproute.core.ports import Chooser, Needs, reads
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Preroute:
    """Each step has one call, by the role that the chooser names before it is written.

    A role whose next call the limits cannot pay gives way to the next cheaper one that they can pay; if there is none,
    the solution ends by that limit. Accepted steps are scored only if the chooser reads scores.
    Source: BAAR (arXiv 2602.21227), with its budget-constrained decoding.
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
            scores = await episode.score(prefix, None) if scored else ()
            prefix = await episode.accept(await self._written(episode, prefix, scores))

    async def _written(self, episode: Episode, prefix: Prefix, scores: tuple[float, ...] | None) -> Draft:
        """The chosen role's step, or another role's if retries have used up what the limits left for that one."""
        while True:
            role = episode.choose(self.chooser, scores)  # a_t ~ π(· | s_t)
            try:
                return await episode.propose(role, prefix, stand_in="strong" if role == "weak" else None)
            except BudgetExceeded:
                if episode.affordable(role):
                    raise
