"""A survey of the rungs: what every rung of the ladder writes at each step of a solution, and whether it is correct."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steproute.core.ports import Needs
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.strategies.second_chances import RESAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One draft at a place.

    score: the judge's. correct: the probability that the step is, by the survey's labels. read, written: tokens.
    """

    score: float
    correct: float
    read: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The next step of a correct prefix: the attempts of each rung; `resample` has several, in the order of drawing."""

    attempts: Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Every rung writes each step, and the solution goes on with a correct one of the cheapest rung that has it.

    So the prefixes are those that a policy meets as long as it makes no mistake. rungs: the ladder from the weak model
    to the strong one; the rung `resample` is `width` drafts of the weak model at `temperature`. label: the scorer's
    role that says whether a step is correct. places: by problem, up to the first step that no rung gets right.
    """

    rungs: Sequence[str]
    label: str
    judge: str = "prm"
    width: int = 4
    temperature: float = 1.0
    places: dict[str, list[Place]] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """The models of the rungs, the judge and the labels' scorer."""
        return Needs(models=self._roles, scorers=tuple(dict.fromkeys((self.judge, self.label))))

    @property
    def _roles(self) -> tuple[str, ...]:
        return tuple(rung for rung in self.rungs if rung != RESAMPLE)

    async def solve(self, episode: Episode) -> None:
        """Survey each place on the way to the end of one solution."""
        prefix, places, on_track = episode.start(), self.places.setdefault(episode.problem.id, []), True
        places.clear()
        while not prefix.finished:
            drafts = {rung: await self._drafts(episode, rung, prefix) for rung in self.rungs}
            attempts = {rung: [await self._attempt(episode, prefix, each) for each in drafts[rung]] for rung in drafts}
            if on_track:
                places.append(Place(attempts=attempts))
            draft, correct = _next(drafts, attempts)
            on_track = on_track and correct >= 1 / 2
            prefix = await episode.accept(draft)

    async def _drafts(self, episode: Episode, rung: str, prefix: Prefix) -> list[Draft]:
        if rung != RESAMPLE:
            return [await episode.propose(rung, prefix)]
        (drafts,) = await episode.propose_many("weak", [prefix], self.width, temperature=self.temperature)
        return drafts

    async def _attempt(self, episode: Episode, prefix: Prefix, draft: Draft) -> Attempt:
        scores = await episode.score(prefix, draft, self.judge) or (0.0,)
        labels = scores if self.label == self.judge else await episode.score(prefix, draft, self.label) or (0.0,)
        return Attempt(
            score=scores[-1], correct=labels[-1], read=draft.usage.read_tokens, written=draft.usage.output_tokens
        )


def _next(drafts: Mapping[str, list[Draft]], attempts: Mapping[str, list[Attempt]]) -> tuple[Draft, float]:
    """The first draft that is correct, by the rungs' order; without one the most likely, of equals the last."""
    every = [(a.correct, d) for rung in drafts for a, d in zip(attempts[rung], drafts[rung], strict=True)]
    correct, draft = next((pair for pair in every if pair[0] >= 1 / 2), None) or max(
        reversed(every), key=lambda pair: pair[0]
    )
    return draft, correct
