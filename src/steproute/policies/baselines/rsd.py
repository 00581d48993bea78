"""Reward-guided speculative decoding: a step is kept with a chance that grows with its score."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.core.seeded import uniform


@dataclass(frozen=True, slots=True)
class Rsd:
    """Accept with probability min(1, r_t / scale): 0 is always-weak, and the larger the more goes to strong.

    RSD (arXiv 2501.19324) with its clipped-linear weighting; with its indicator weighting RSD is `threshold`. Raises
    ConfigError for a scale below 0.
    """

    scale: float
    seed: int = 0
    knobs: ClassVar[tuple[float, ...]] = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 3, 5)
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.scale >= 0:
            raise ConfigError(
                f"{self.scale} is below 0.", where="scale", remedy="Give 0 or more; 1 accepts with probability r_t."
            )

    @classmethod
    def at(cls, knob: float, seed: int) -> "Rsd":
        """The policy with its knob, the scale, at `knob`."""
        return cls(knob, seed)

    def decide(self, observation: Observation) -> Decision:
        """Drawn by the seed, the problem and the step alone."""
        draw = uniform(f"rsd/{self.seed}/{observation.prefix.problem.id}/{observation.step}")
        return Accept() if draw * self.scale < observation.score else Rewrite("strong")
