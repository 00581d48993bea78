"""Choosers that look at nothing but a step's number or a coin: what any trained one has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.bounds import check_whole
from steproute.core.errors import ConfigError
from steproute.core.observation import Moment
from steproute.core.ports import Reading
from steproute.core.seeded import uniform

_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class First:
    """The strong model writes the first `steps` steps, the weak model the others.

    Source: BAAR (arXiv 2602.21227), "First-Large". Raises ConfigError for a number of steps that cannot be.
    """

    steps: float
    knobs: ClassVar[tuple[float, ...]] = (0, 1, 2, 3, 4, 6, 8, 12)
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def __post_init__(self) -> None:
        check_whole("steps", self.steps)

    def choose(self, moment: Moment) -> str:
        """By the step's number alone."""
        return moment.ladder[-1] if moment.step <= self.steps else moment.ladder[0]


@dataclass(frozen=True, slots=True)
class Mixing:
    """Each step has its own coin: strong with probability `rate`. Raises ConfigError for a rate outside [0, 1]."""

    rate: float
    seed: int = 0
    knobs: ClassVar[tuple[float, ...]] = _RATES
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    @classmethod
    def at(cls, knob: float, seed: int) -> "Mixing":
        """The chooser with its knob, the rate, at `knob`."""
        return cls(knob, seed)

    def choose(self, moment: Moment) -> str:
        """Drawn by the seed, the problem and the step alone."""
        return _drawn(moment, f"mixing/{self.seed}/{moment.prefix.problem.id}/{moment.step}", self.rate)


@dataclass(frozen=True, slots=True)
class ProblemMixing:
    """One coin for the whole problem: strong writes all of it with probability `rate`.

    No step is read by a second model, so it loses no cache, and it needs no router. So a trained chooser that is not
    ahead of it at equal dollars saves nothing. Raises ConfigError for a rate outside [0, 1].
    """

    rate: float
    seed: int = 0
    knobs: ClassVar[tuple[float, ...]] = _RATES
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    @classmethod
    def at(cls, knob: float, seed: int) -> "ProblemMixing":
        """The chooser with its knob, the rate, at `knob`."""
        return cls(knob, seed)

    def choose(self, moment: Moment) -> str:
        """Drawn by the seed and the problem alone."""
        return _drawn(moment, f"problem-mixing/{self.seed}/{moment.prefix.problem.id}", self.rate)


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ConfigError(f"{rate} is outside [0, 1].", where="rate", remedy="Give the share of strong.")


def _drawn(moment: Moment, place: str, rate: float) -> str:
    return moment.ladder[-1] if uniform(place) < rate else moment.ladder[0]
