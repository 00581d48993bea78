"""Routing by chance: what any policy has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.core.seeded import uniform


@dataclass(frozen=True, slots=True)
class RandomRouting:
    """Regenerate each weak step with probability `rate`, whatever its score.

    Pure: the draw depends on the seed, the problem and the step alone. Raises ConfigError for a rate outside [0, 1].
    """

    rate: float
    seed: int = 0
    knobs: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    reads: ClassVar[frozenset[Reading]] = frozenset()
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigError(
                f"{self.rate} is outside [0, 1].", where="rate", remedy="Give the share of steps to regenerate."
            )

    @classmethod
    def at(cls, knob: float, seed: int) -> "RandomRouting":
        """The policy with its knob, the rate, at `knob`."""
        return cls(knob, seed)

    def decide(self, observation: Observation) -> Decision:
        """Regenerate where this step's draw falls below the rate."""
        draw = uniform(f"{self.seed}/{observation.prefix.problem.id}/{observation.step}")
        return Rewrite("strong") if draw < self.rate else Accept()
