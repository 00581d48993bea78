"""A policy: ten lines, without a declaration."""

from dataclasses import dataclass

from steproute import Accept, Decision, Observation, Rewrite


@dataclass(frozen=True)
class LowestSoFar:
    """Rewrite while any score so far is below the threshold."""

    threshold: float

    def decide(self, observation: Observation) -> Decision:
        return Rewrite("strong") if min(observation.scores) < self.threshold else Accept()
