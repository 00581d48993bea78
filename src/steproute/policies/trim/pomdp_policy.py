"""TRIM-POMDP: the plan's best action, given the belief that the scores support."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.core.solution import Step
from steproute.policies.trim.pomdp_model import ACCEPT, F64
from steproute.policies.trim.pomdp_plan import Plan

Belief = Literal["filter", "posterior"]


@dataclass(frozen=True, slots=True)
class Pomdp:
    """Have the role k rewrite the newest step for which Δ_n^k(b) − cost × c_k × tokens is largest, if that is above 0.

    cost: one of the plan's. belief: `filter` carries earlier scores and decisions on to the next step by Bayes' rule;
    `posterior` is the reference's, from the newest observation alone and a uniform prior. Raises ConfigError for a cost
    that the plan does not hold. Source: TRIM, TRIM-POMDP.
    """

    plan: Plan
    cost: float
    belief: Belief = "filter"
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores", "authors"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.cost not in self.plan.costs:
            known = ", ".join(f"{cost:g}" for cost in self.plan.costs)
            raise ConfigError(f"{self.cost} is not in the plan. It holds {known}.", where="cost")

    @property
    def rewriters(self) -> tuple[str, ...]:
        """The roles of the plan's rewriters."""
        return tuple(rewriter.name for rewriter in self.plan.model.rewriters)

    def decide(self, observation: Observation) -> Decision:
        """The plan's best action."""
        action = self.best_action(observation)
        return Rewrite(self.rewriters[action - 1]) if action else Accept()

    def best_action(self, observation: Observation) -> int:
        """0 to accept the draft, or k for the k-th of the model's rewriters."""
        plan, belief = self.plan, self.believed(observation)
        stage = None if observation.ends else min(observation.step, plan.model.stages) - 1
        tokens = observation.draft.usage.output_tokens
        return int(plan.best_action(plan.costs.tolist().index(self.cost), stage, belief, tokens))

    def believed(self, observation: Observation) -> F64:
        """Belief (3,) about the newest step: on track, derailed, newest step incorrect."""
        model = self.plan.model
        if self.belief == "posterior":
            return model.posterior(min(observation.scores[:-1], default=1.0), observation.score)
        prior = model.first_belief()
        for index, step in enumerate(observation.prefix.written):
            newest = observation.scores[index] if step.rejected_score is None else step.rejected_score
            belief = model.posterior(min(observation.scores[:index], default=1.0), newest, prior)
            prior = model.predict(belief, self._action(step))
        return model.posterior(min(observation.scores[:-1], default=1.0), observation.score, prior)

    def _action(self, step: Step) -> int:
        return self.plan.model.action_of(step.decision.role) if isinstance(step.decision, Rewrite) else ACCEPT


@dataclass(frozen=True, slots=True)
class PomdpFamily:
    """TRIM-POMDP at every cost of its plan; the knob is a rank, from 1, which spends least, to the number of costs.

    A cost per token that the plan holds is a knob as well, for what was made when costs were the knobs.
    """

    plan: Plan
    belief: Belief = "filter"

    @property
    def knobs(self) -> tuple[float, ...]:
        """The ranks, cheapest first."""
        return tuple(float(rank) for rank in range(1, len(self.plan.costs) + 1))

    def at(self, knob: float, seed: int) -> Pomdp:
        """The policy at one rank; raises ConfigError for one that is not there."""
        costs = sorted(self.plan.costs.tolist(), reverse=True)  # the more a token costs, the fewer are bought
        if float(knob).is_integer() and 1 <= knob <= len(costs):
            return Pomdp(self.plan, costs[int(knob) - 1], self.belief)
        if knob not in costs:
            raise ConfigError(
                f"{knob:g} is no rank of this TRIM-POMDP.",
                where="knob",
                remedy=f"Give a whole number from 1, which spends least, to {len(costs)}, which spends most.",
            )
        return Pomdp(self.plan, knob, self.belief)
