"""Self-consistency: the weak model solves the problem several times, and the solutions vote (arXiv 2203.11171)."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.ports import Needs, Policy
from steproute.engine.episode import Episode
from steproute.strategies.answers import grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The answer with most votes among `samples` whole solutions by the weak model, in one call if it can.

    weights: what a vote counts: `one`, or the judge's `min`, `last` or `product` over the solution's steps. policy:
    reads the winner's share of all weights; if it does not accept, the strong model solves the problem, so at a
    threshold of 0 this is the plain vote. Answers are compared by the run's grader if that costs nothing, else as
    mathematics. Raises ConfigError for less than one sample.
    """

    policy: Policy
    samples: int = 8
    weights: Literal["one", "min", "last", "product"] = "one"
    judge: str = "prm"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"{self.samples} is below 1.", where="samples", remedy="Give 1 or more.")

    @property
    def needs(self) -> Needs:
        """Both models, the judge if votes are weighted, and problems with answers that can be compared."""
        return Needs(scorers=() if self.weights == "one" else (self.judge,), answers=True)

    async def solve(self, episode: Episode) -> None:
        """Solve several times, weigh, count, and escalate at most once."""
        empty = episode.start()
        (drafts,) = await episode.propose_many("weak", [empty], self.samples, to_end=True)
        solutions = [await episode.extend(empty, draft) for draft in drafts]
        answered = [solution for solution in solutions if solution.answer is not None]
        if not answered:
            episode.commit(solutions[0])
            return
        weights = [1.0] * len(answered)
        if self.weights != "one":
            scores = await episode.score_many(answered, self.judge)
            weights = [self._weight(each) for each in scores]
        groups = await grouped(episode, answered, weights)
        episode.note_answers([each.votes for each in groups])
        chosen, share = groups[0].best, groups[0].votes.weight / (sum(weights) or 1.0)
        draft = drafts[next(index for index, each in enumerate(solutions) if each is chosen)]
        if await episode.decide(self.policy, draft, (share,)) == Accept():
            episode.commit(chosen)
        else:
            await episode.accept(await episode.propose("strong", empty, replacing=draft, to_end=True))

    def _weight(self, scores: tuple[float, ...] | None) -> float:
        """Of a solution that was not scored, because the scorer failed, 1."""
        if not scores:
            return 1.0
        return {"min": min(scores), "last": scores[-1], "product": prod(scores)}[self.weights]
