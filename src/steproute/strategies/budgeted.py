"""A budget held while problems keep coming: what they really cost moves the policy along its calibrated curve."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.ports import Policy
from steproute.engine.episode import Episode
from steproute.policies.mixture import Mixed
from steproute.strategies.stepwise import Stepwise

_JITTER: Final = 0.15
_FASTEST: Final = 0.1
_STABLE: Final = 0.5


class BudgetController:
    """Dual ascent: each problem's overspending lowers what the next ones may spend.

    The state is x = log(setpoint / budget), where the setpoint picks the λ (or mix of knobs) that spent it on the
    calibration problems. After a problem of cost c, x falls by rate × (c − budget) / budget, so x keeps the books: the
    running average's relative error after n problems is exactly (x_0 − x_n) / (rate × n), and goes to zero as long as
    the budget lies on the curve. On calibrated data the mean cost follows exp(x), a slope of 1 whatever the policy, so
    the rate needs no tuning: noise of relative deviation d makes x stray by d √(rate / 2), which 2 (0.15 / d)² keeps at
    15 %. With m problems under way the answer comes m problems late; rate × m ≤ 1/2 keeps that stable.
    """

    def __init__(self, policy: Mixed) -> None:
        self._source, self._seed = policy.source, policy.seed
        self.budget = policy.source.cost
        self._rate = min(_FASTEST, 2 * (_JITTER / max(policy.source.deviation, _JITTER)) ** 2)
        costs = policy.source.curve.costs
        self._lowest = log(max(costs[0], 0.01 * self.budget) / self.budget)
        self._highest = log(max(costs[-1], self.budget) / self.budget)
        self.x = 0.0
        self._under_way = 0

    def begin(self) -> Policy:
        """The policy for the next problem."""
        self._under_way += 1
        return self._source.spending(self.budget * exp(self.x), self._seed)

    def end(self, cost: float) -> None:
        """What a problem that has begun cost in the end."""
        rate = min(self._rate, _STABLE / self._under_way)
        self._under_way -= 1
        moved = self.x - rate * (cost - self.budget) / self.budget
        self.x = min(max(moved, self._lowest), self._highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """TRIM's loop under a policy that `steproute calibrate` made, its budget held on the running average.

    Raises ConfigError for a policy that was not calibrated.
    """

    policy: Policy
    controller: BudgetController = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.policy, Mixed):
            raise ConfigError("policy: budgeted needs a calibrated one. Make it by `steproute calibrate --budget …`.")
        object.__setattr__(self, "controller", BudgetController(self.policy))

    async def solve(self, episode: Episode) -> None:
        """Solve by the policy of the moment, and report the cost, whatever the ending."""
        policy = self.controller.begin()
        try:
            await Stepwise(policy=policy).solve(episode)
        finally:
            assert isinstance(self.policy, Mixed)
            self.controller.end(_COST_OF[self.policy.source.curve.axis](episode))


_COST_OF: Final[dict[str, Callable[[Episode], float]]] = {
    "tokens": lambda episode: episode.generated_tokens("strong"),
    "usd": lambda episode: float(episode.spent_usd),
}
