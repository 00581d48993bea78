"""One model solves the whole problem: always-weak, always-strong, or any other role alone."""

from dataclasses import dataclass

from steproute.core.ports import Needs
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True)
class Single:
    """The whole solution in one call of one role; step by step if an environment answers."""

    role: str

    @property
    def needs(self) -> Needs:
        """That model alone."""
        return Needs(models=(self.role,))

    async def solve(self, episode: Episode) -> None:
        """Write to the end and keep it."""
        await episode.finish(self.role, episode.start())
