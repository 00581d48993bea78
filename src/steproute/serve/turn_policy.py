"""Policies of routes with agents: a turn that no client can act on is never accepted while a stronger model is left."""

from dataclasses import dataclass

from steproute.core.decision import Decision, Rewrite
from steproute.core.observation import Observation
from steproute.core.ports import READS, REWRITERS, SCORES_REWRITES, TAKES_OVER, Chooser, Policy, PolicyFamily
from steproute.serve.turn_model import TurnDraft


class UsableTurns:
    """A policy that rejects turns with a fault; about all others the policy within it decides."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.reads, self.takes_over = READS.of(policy), TAKES_OVER.of(policy)
        self.scores_rewrites = SCORES_REWRITES.of(policy)
        self.rewriters = REWRITERS.of(policy)

    def decide(self, observation: Observation) -> Decision:
        """See Policy."""
        draft, strongest = observation.draft, observation.ladder[-1]
        if isinstance(draft, TurnDraft) and draft.fault and draft.role != strongest:
            return Rewrite(strongest)
        return self._policy.decide(observation)


@dataclass(frozen=True, slots=True)
class UsableTurnsFamily:
    """The same at each knob; a chooser stays as it is, since no draft comes before its choice."""

    family: PolicyFamily

    @property
    def knobs(self) -> tuple[float, ...]:
        """Of the policy within."""
        return self.family.knobs

    def at(self, knob: float, seed: int) -> Policy | Chooser:
        """See PolicyFamily."""
        policy = self.family.at(knob, seed)
        return policy if isinstance(policy, Chooser) else UsableTurns(policy)
