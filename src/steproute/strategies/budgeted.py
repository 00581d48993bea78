"""Budget pacing: the actual cost of finished problems moves the policy along its calibrated curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.ports import NEEDS, RETRACTS, Needs, Policy, Strategy
from steproute.engine.episode import Episode
from steproute.policies.mixture import Mixed
from steproute.strategies.routed import Routed
from steproute.strategies.stepwise import Stepwise

_JITTER: Final = 0.15
_FASTEST: Final = 0.1
_MOST: Final = 20.0


class PacingController:
    """Dual ascent: each problem's overspending lowers what the next ones may spend.

    `debt` is the sum of (cost − budget) / budget over all problems. A problem under way counts with its policy's cost
    in calibration. The next problem may spend budget × exp(−rate × debt): it gets the λ, or the mix of knobs, that
    spent this amount in calibration. After n problems the running average is off by debt / n of the budget, so it
    converges to the budget if that lies on the curve, whatever the problems.

    Damping: in calibration the mean cost follows the setpoint with a slope of 1 in logarithms for any policy, so the
    rate needs no tuning per policy. If costs have the relative standard deviation d, the setpoint deviates by
    d √(rate / 2), which a rate of 2 (0.15 / d)² keeps at 15 %. Since problems under way count with their expected
    costs, only the difference from these is delayed.
    """

    def __init__(self, policy: Mixed) -> None:
        self._source, self._seed = policy.source, policy.seed
        self.budget = policy.source.cost
        self.rate = min(_FASTEST, 2 * (_JITTER / max(policy.source.deviation, _JITTER)) ** 2)
        self.debt = 0.0

    def begin(self, problem_id: str) -> tuple[Mixed, float]:
        """The policy for the next problem, and its expected cost."""
        exponent = min(max(-self.rate * self.debt, -_MOST), _MOST)
        policy = self._source.spending(self.budget * exp(exponent), self._seed)
        expected = policy.expected_cost(problem_id)
        self.debt += (expected - self.budget) / self.budget
        return policy, expected

    def end(self, expected: float, cost: float) -> None:
        """Replace a problem's expected cost by its actual cost."""
        self.debt += (cost - expected) / self.budget


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPacing:
    """TRIM's loop under a policy of `steproute calibrate`; its budget holds for the running average.

    routes: the strategies of the routes that the policy chooses among, by name; then a route solves each problem in the
    place of TRIM's loop. Raises ConfigError for a policy that was not calibrated.
    """

    policy: Policy
    routes: Mapping[str, Strategy[Episode]] = field(default_factory=dict)
    controller: PacingController = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.policy, Mixed):
            raise ConfigError(
                "the strategy budgeted needs a calibrated policy.",
                where="policy",
                remedy="Make one with `steproute calibrate --budget …`.",
            )
        object.__setattr__(self, "controller", PacingController(self.policy))

    @property
    def needs(self) -> Needs:
        """The same as TRIM's loop, or as its routes."""
        return NEEDS.of(self._solving_by(self.policy))

    @property
    def retracts(self) -> bool:
        """Whether any of its routes does."""
        return RETRACTS.of(self._solving_by(self.policy))

    async def solve(self, episode: Episode) -> None:
        """Solve with the controller's current policy, and report the cost, whatever the ending."""
        policy, expected = self.controller.begin(episode.problem.id)
        try:
            await self._solving_by(policy).solve(episode)
        finally:
            assert isinstance(self.policy, Mixed)
            self.controller.end(expected, _COST_OF[self.policy.source.curve.axis](episode))

    def _solving_by(self, policy: Policy) -> Strategy[Episode]:
        return Routed(policy=policy, routes=self.routes) if self.routes else Stepwise(policy=policy)


_COST_OF: Final[dict[str, Callable[[Episode], float]]] = {
    "tokens": lambda episode: episode.generated_tokens("strong"),
    "usd": lambda episode: float(episode.spent_usd),
}
