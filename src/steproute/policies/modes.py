"""How many candidates the next step gets: the automaton of PATS, and the same with modes drawn by chance."""

from dataclasses import dataclass
from math import log
from typing import ClassVar, Protocol, runtime_checkable

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.logistic import logistic
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.core.seeded import uniform


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether the best candidate is accepted, the mode of the next draw, and how often this step was drawn again."""

    accept: bool
    mode: int
    redraws: int = 0


@runtime_checkable
class ModePolicy(Protocol):
    """A policy that also chooses the mode of the next draw. Modes count from 0, the simplest, to `hardest`."""

    def next(self, observation: Observation, mode: int, hardest: int, redraws: int) -> Turn:
        """What follows the best candidate, which was drawn in `mode` after `redraws` redraws of its step."""
        ...


@dataclass(frozen=True, slots=True)
class Modes:
    """A step's score sets the mode of the next one: one mode simpler from `good` on, the hardest below `low`.

    A step below `bad` is drawn again in the hardest mode, up to `penalties` times, then accepted all the same. shift:
    moves all three thresholds by so much in log-odds; the knob. Source: PATS (arXiv 2505.19250). Raises ConfigError for
    thresholds that are not in order.
    """

    shift: float = 0.0
    good: float = 0.85
    low: float = 0.75
    bad: float = 0.4
    penalties: int = 1
    knobs: ClassVar[tuple[float, ...]] = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores"})
    takes_over: ClassVar[bool] = False
    rewriters: ClassVar[tuple[str, ...]] = ("weak",)

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.low <= self.good <= 1:
            raise ConfigError(
                f"{self.bad}, {self.low} and {self.good} are no thresholds.",
                where="bad, low, good",
                remedy="Give numbers from 0 to 1, the highest for good.",
            )
        if self.penalties < 0:
            raise ConfigError(f"{self.penalties} is below 0.", where="penalties", remedy="Give 0 for no redraw.")

    @classmethod
    def at(cls, knob: float, seed: int) -> "Modes":
        """The policy with its knob, the shift, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Accept, or have the weak model write again what scores below `bad`: the automaton's rule for one step."""
        return Rewrite("weak") if observation.score < self._shifted(self.bad) else Accept()

    def next(self, observation: Observation, mode: int, hardest: int, redraws: int) -> Turn:
        """See ModePolicy."""
        score = observation.score
        if score < self._shifted(self.bad) and redraws < self.penalties:
            return Turn(accept=False, mode=hardest, redraws=redraws + 1)
        if score >= self._shifted(self.good):
            return Turn(accept=True, mode=max(0, mode - 1))
        return Turn(accept=True, mode=hardest if score < self._shifted(self.low) else mode)

    def _shifted(self, threshold: float) -> float:
        if threshold in (0, 1) or self.shift == 0:
            return threshold
        return float(logistic(log(threshold / (1 - threshold)) + self.shift))


@dataclass(frozen=True, slots=True)
class RandomModes:
    """Each step's mode by chance, whatever the scores: what any choice of modes has to beat.

    Of the m modes above the simplest, each is added with probability `rate`, the knob. The draw depends on the seed,
    the problem and the step alone. Raises ConfigError for a rate outside [0, 1].
    """

    rate: float
    seed: int = 0
    knobs: ClassVar[tuple[float, ...]] = (0.0, 0.25, 0.5, 0.75, 1.0)
    reads: ClassVar[frozenset[Reading]] = frozenset()
    takes_over: ClassVar[bool] = False
    rewriters: ClassVar[tuple[str, ...]] = ("weak",)

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"{self.rate} is outside [0, 1].", where="rate", remedy="Give a probability.")

    @classmethod
    def at(cls, knob: float, seed: int) -> "RandomModes":
        """The policy with its knob, the rate, at `knob`."""
        return cls(knob, seed)

    def decide(self, observation: Observation) -> Decision:
        """Accept."""
        return Accept()

    def next(self, observation: Observation, mode: int, hardest: int, redraws: int) -> Turn:
        """See ModePolicy."""
        place = f"modes/{self.seed}/{observation.prefix.problem.id}/{observation.step}"
        return Turn(accept=True, mode=sum(uniform(f"{place}/{each}") < self.rate for each in range(hardest)))
