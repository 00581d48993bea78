"""Query-level routing: the problem's text alone decides which model solves all of it."""

from dataclasses import dataclass

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.ports import Policy, reads
from steproute.core.solution import Draft, Stop
from steproute.core.usage import Usage
from steproute.engine.episode import Episode

_NOTHING = Draft(model="", text="", stop=Stop.SEPARATOR, usage=Usage())


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLevel:
    """One decision per problem, before anything is written, as in RouteLLM (arXiv 2406.18665).

    Raises ConfigError for a policy that reads scores, since nothing is scored.
    """

    policy: Policy

    def __post_init__(self) -> None:
        if reads(self.policy, "scores"):
            raise ConfigError(
                "the strategy query decides before there is a step to score, but this policy reads scores.",
                where="policy",
                remedy="Train one by `steproute train --policy query-sw`, or use the strategy stepwise.",
            )

    async def solve(self, episode: Episode) -> None:
        """The weak model writes the whole solution if the policy accepts, else the strong model."""
        prefix = episode.start()
        accepted = self.policy.decide(episode.observe(_NOTHING, ())) == Accept()
        role, stand_in = ("weak", "strong") if accepted else ("strong", None)
        await episode.finish(role, prefix, stand_in=stand_in)
