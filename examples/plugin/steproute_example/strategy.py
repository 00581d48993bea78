"""A strategy: the weak model gets a second try at a rejected step before the strong model writes it."""

from dataclasses import dataclass

from steproute import Accept, Episode
from steproute.core.ports import Needs, Policy, reads


@dataclass(frozen=True, kw_only=True)
class SecondTry:
    """`policy` decides about each draft. `tries`, a setting, is how often the weak model may write a step."""

    policy: Policy
    tries: int = 2

    @property
    def needs(self) -> Needs:
        return Needs(scorers=("prm",) if reads(self.policy, "scores") else ())

    async def solve(self, episode: Episode) -> None:
        prefix = episode.start()
        while not prefix.finished:
            draft = await episode.propose("weak", prefix, stand_in="strong")
            for left in reversed(range(self.tries)):
                scores = await episode.score(prefix, draft) if reads(self.policy, "scores") else ()
                if await episode.decide(self.policy, draft, scores) == Accept():
                    break
                draft = await episode.propose("weak" if left else "strong", prefix, replacing=draft)
            prefix = await episode.accept(draft)
