"""Routed: a policy chooses a route from the problem's text, and the route's strategy solves the problem."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from steproute.core.decision import Rewrite
from steproute.core.errors import ConfigError
from steproute.core.ports import NEEDS, RETRACTS, Needs, Policy, Strategy
from steproute.core.route_name import RouteName
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
            models=_union(each.models for each in needs),
            scorers=_union(each.scorers for each in needs),
            answers=any(each.answers for each in needs),
            artifacts=_union([*(each.artifacts for each in needs), _policy_folders(self.routes)]),
            example=_union(each.example for each in needs),
            plans=_union(each.plans for each in needs),
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


def _policy_folders(routes: Iterable[str]) -> list[str]:
    """The folders of the trained policies that the routes of these names run."""
    policies = [route.policy for route in map(RouteName.parse, routes) if route is not None]
    return [policy for policy in policies if policy is not None and "/" in policy]


def _union(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Each name once, in the order in which it comes first."""
    return tuple(dict.fromkeys(chain.from_iterable(names)))
