"""A policy at two knobs, each on its share of the problems: it meets a budget that lies between them."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import READS, REWRITERS, SCORES_REWRITES, TAKES_OVER, Chooser, Policy, PolicyFamily, Reading
from steproute.core.seeded import uniform

Axis = Literal["tokens", "usd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The share of problems at knob `high`; all others are at `low`. Raises ConfigError for a share outside [0, 1]."""

    low: float
    high: float
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(
                f"{self.share} is outside [0, 1].",
                where="share",
                remedy="Give the share of problems at the higher knob.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCurve:
    """The knobs worth using and what each spends a problem, ascending: strong tokens, or dollars.

    Raises ConfigError where there is none, or costs that do not ascend.
    """

    axis: Axis
    knobs: tuple[float, ...]
    costs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.knobs or len(self.knobs) != len(self.costs) or any(b <= a for a, b in pairwise(self.costs)):
            raise ConfigError(f"{len(self.knobs)} knobs with costs {self.costs} are no ascending curve.", where="curve")

    def mix(self, cost: float) -> Mix:
        """The mix that spends `cost` a problem; the nearest end where no mix does."""
        after = bisect_left(self.costs, cost)
        if after == 0 or after == len(self.costs):
            knob = self.knobs[min(after, len(self.costs) - 1)]
            return Mix(low=knob, high=knob, share=0.0)
        before, beyond = self.costs[after - 1], self.costs[after]
        share = (cost - before) / (beyond - before)
        return Mix(low=self.knobs[after - 1], high=self.knobs[after], share=share)


@dataclass(frozen=True, slots=True)
class MixtureFamily:
    """A calibrated policy: one point, so its only knob is what it was calibrated for.

    cost: what it may spend a problem, on the curve's axis; goal: the same as the user said it (a share of strong's
    tokens or accuracy, or dollars); deviation: of one problem's cost, over `cost`.
    """

    family: PolicyFamily
    curve: BudgetCurve
    cost: float
    goal: float
    deviation: float

    @property
    def knobs(self) -> tuple[float, ...]:
        """The goal alone."""
        return (self.goal,)

    def at(self, knob: float, seed: int) -> "Mixed":
        """The calibrated policy; raises ConfigError for another goal."""
        if knob != self.goal:
            raise ConfigError(
                f"{knob:g} is not {self.goal:g}, what the policy was calibrated for.",
                where="knob",
                remedy="Give that, or none.",
            )
        return self.spending(self.cost, seed)

    def spending(self, cost: float, seed: int) -> "Mixed":
        """The mix that spends `cost` a problem."""
        mix = self.curve.mix(cost)
        calibrated = dict(zip(self.curve.knobs, self.curve.costs, strict=True))
        costs = calibrated[mix.low], calibrated[mix.high]
        return Mixed(self, self._policy(mix.low, seed), self._policy(mix.high, seed), costs, mix.share, seed)

    def _policy(self, knob: float, seed: int) -> Policy:
        """The policy at a knob; raises ConfigError for a chooser."""
        policy = self.family.at(knob, seed)
        if isinstance(policy, Chooser):
            raise ConfigError("choosers cannot be mixed.", where="policy", remedy="Use problem-mixing, or a policy.")
        return policy


@dataclass(frozen=True, slots=True)
class Mixed:
    """Decides by one of two policies; which of them depends on the seed and the problem alone.

    costs: what a problem costs at the low and the high knob, as calibrated.
    """

    source: MixtureFamily
    low: Policy
    high: Policy
    costs: tuple[float, float]
    share: float
    seed: int

    @property
    def reads(self) -> frozenset[Reading]:
        """What either of the two reads."""
        return READS.of(self.low) | READS.of(self.high)

    @property
    def takes_over(self) -> bool:
        """Whether either of the two may."""
        return TAKES_OVER.of(self.low) or TAKES_OVER.of(self.high)

    @property
    def scores_rewrites(self) -> bool:
        """Whether either of the two decides about rewritten steps."""
        return SCORES_REWRITES.of(self.low) or SCORES_REWRITES.of(self.high)

    @property
    def rewriters(self) -> tuple[str, ...]:
        """The roles that either of the two can have rewrite a step."""
        return tuple(dict.fromkeys((*REWRITERS.of(self.low), *REWRITERS.of(self.high))))

    def expected_cost(self, problem_id: str) -> float:
        """What a problem costs by the policy that it gets, as calibrated."""
        return self.costs[self._takes_high(problem_id)]

    def decide(self, observation: Observation) -> Decision:
        """As the problem's policy does."""
        return (self.high if self._takes_high(observation.prefix.problem.id) else self.low).decide(observation)

    def _takes_high(self, problem_id: str) -> bool:
        return uniform(f"mixture/{self.seed}/{problem_id}") < self.share
