"""TRIM-Thr, and TRIM-Thr with takeover."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading

GRID = tuple(round(0.05 * index, 2) for index in range(21))


@dataclass(frozen=True, slots=True)
class Threshold:
    """Regenerate iff r_t < threshold: 0 is always-weak and 1 always-strong. Source: TRIM, TRIM-Thr.

    Raises ConfigError for a threshold outside [0, 1].
    """

    threshold: float
    knobs: ClassVar[tuple[float, ...]] = GRID
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check("threshold", self.threshold)

    @classmethod
    def at(cls, knob: float, seed: int) -> "Threshold":
        """The policy with its knob, the threshold, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Regenerate a step that scores below the threshold."""
        return Rewrite("strong") if observation.score < self.threshold else Accept()


@dataclass(frozen=True, slots=True)
class ThresholdTakeover:
    """Like Threshold, but strong takes over once `patience` weak steps of a solution have scored below the threshold.

    A weak model that keeps failing on a problem is not trusted with the rest of it.
    """

    threshold: float
    patience: int = 2
    knobs: ClassVar[tuple[float, ...]] = GRID
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores", "authors"})

    def __post_init__(self) -> None:
        _check("threshold", self.threshold)
        if self.patience < 1:
            raise ConfigError(
                f"{self.patience} is below 1.", where="patience", remedy="Give the number of low steps that hands over."
            )

    @classmethod
    def at(cls, knob: float, seed: int) -> "ThresholdTakeover":
        """The policy with its knob, the threshold, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Accept at or above the threshold; below it regenerate, or take over when patience is spent."""
        if observation.score >= self.threshold:
            return Accept()
        return Rewrite("strong", None) if observation.replaced + 1 >= self.patience else Rewrite("strong")


def _check(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(
            f"{value} is outside [0, 1]. Scores are probabilities; give a number from 0 to 1.", where=name
        )
