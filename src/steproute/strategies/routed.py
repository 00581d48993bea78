"""Routed: a policy chooses a route from the problem's text, and the route's strategy solves the problem."""

from collections.abc import Mapping
from dataclasses import dataclass

from steproute.core.decision import Rewrite
from steproute.core.errors import ConfigError
from steproute.core.ports import NEEDS, RETRACTS, Needs, Policy, Strategy
from steproute.core.solution import Draft, Stop
from steproute.core.usage import Usage
from steproute.engine.episode import Episode

_NOTHING = Draft(model="", text="", stop=Stop.SEPARATOR, usage=Usage())


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """One choice per problem among whole strategies, as in CONCUR (arXiv 2512.09386) and Route-To-Reason.

    policy: names a route to the end, as a route table does, or a calibrated one. routes: each route's strategy by its
    name. Raises ConfigError for a policy that names no routes.
    """

    policy: Policy
    routes: Mapping[str, Strategy[Episode]]

    def __post_init__(self) -> None:
        if not self.routes:
            raise ConfigError(
                "the strategy routed needs a policy that chooses among routes.",
                where="policy",
                remedy="Train one by `steproute train --policy routes`.",
            )

    @property
    def needs(self) -> Needs:
        """Those of all its routes."""
        needs = [NEEDS.of(strategy) for strategy in self.routes.values()]
        return Needs(
            models=tuple(dict.fromkeys(role for each in needs for role in each.models)),
            scorers=tuple(dict.fromkeys(role for each in needs for role in each.scorers)),
            answers=any(each.answers for each in needs),
        )

    @property
    def retracts(self) -> bool:
        """Whether any of its routes does."""
        return any(RETRACTS.of(strategy) for strategy in self.routes.values())

    async def solve(self, episode: Episode) -> None:
        """Choose, note the choice on the trace, and solve."""
        decision = self.policy.decide(episode.observe(_NOTHING, ()))
        assert isinstance(decision, Rewrite)
        episode.note(f"route {decision.role}")
        await self.routes[decision.role].solve(episode)
