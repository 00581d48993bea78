"""Priming: the strong model begins each solution, then TRIM's loop goes on."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.errors import ConfigError
from steproute.engine.episode import Episode
from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Primed(Stepwise):
    """The strong model writes the first `first_steps` steps, and the policy decides about the following ones.

    Source: TrigReason (arXiv 2604.14847), strategic priming, with 20 steps for long chains of thought. With a policy
    that accepts everything it is the baseline "first k steps". Raises ConfigError for less than one step.
    """

    routes_turns: ClassVar[bool] = False

    first_steps: int = 20

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if self.first_steps < 1:
            raise ConfigError(
                f"{self.first_steps} is below 1.", where="first_steps", remedy="Or use the strategy stepwise."
            )

    async def solve(self, episode: Episode) -> None:
        """Strong writes up to `first_steps` steps; then draft, score, decide, accept or rewrite."""
        prefix = episode.start()
        while not prefix.finished and len(prefix.written) < self.first_steps:
            prefix = await episode.accept(await episode.propose("strong", prefix))
        await self.go_on(episode, prefix)
