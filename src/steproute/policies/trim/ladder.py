"""TRIM-Thr on a ladder of more than two models."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.policies.trim.threshold import GRID


@dataclass(frozen=True, slots=True)
class LadderThreshold:
    """TRIM-Thr with one threshold per rung: a draft of rung k is kept if it scores at least thresholds[k].

    Otherwise the next rung writes the step again, and unless that is the strong model its step is scored and decided
    about as well. The last threshold holds for all further rungs. With two roles it is TRIM-Thr. Raises ConfigError for
    no threshold, or one outside [0, 1].
    """

    thresholds: tuple[float, ...]
    knobs: ClassVar[tuple[float, ...]] = GRID
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores"})
    takes_over: ClassVar[bool] = False
    scores_rewrites: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise ConfigError(
                f"{self.thresholds} are no thresholds.", where="thresholds", remedy="Give numbers from 0 to 1."
            )

    @classmethod
    def at(cls, knob: float, seed: int) -> "LadderThreshold":
        """The policy with its knob, one threshold for all rungs, at `knob`."""
        return cls((knob,))

    def decide(self, observation: Observation) -> Decision:
        """Climb one rung if the draft scores below its rung's threshold."""
        rung = observation.ladder.index(observation.rung)
        if observation.score >= self.thresholds[min(rung, len(self.thresholds) - 1)]:
            return Accept()
        return Rewrite(observation.ladder[rung + 1])
