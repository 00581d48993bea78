"""A policy: ten lines, without a declaration."""

from dataclasses import dataclass

from steproute import Decision, Observation


@dataclass(frozen=True)
class LowestSoFar:
    """Rewrite while any score so far is below the threshold."""

    threshold: float

    def decide(self, observation: Observation) -> Decision:
        return Decision.REGENERATE if min(observation.scores) < self.threshold else Decision.ACCEPT
