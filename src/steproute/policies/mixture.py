"""A policy at two knobs, each on its share of the problems: it meets a budget that lies between them."""

import hashlib
from dataclasses import dataclass

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Policy, PolicyFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The share of problems at knob `high`; all others are at `low`. Raises ConfigError for a share outside [0, 1]."""

    low: float
    high: float
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share: {self.share} is outside [0, 1]. Give the share of problems at the higher knob.")


@dataclass(frozen=True, slots=True)
class Mixed:
    """Decides by one of two policies; which of them depends on the seed and the problem alone."""

    low: Policy
    high: Policy
    share: float
    seed: int

    @property
    def needs_scores(self) -> bool:
        """Whether either of the two reads scores."""
        return self.low.needs_scores or self.high.needs_scores

    def decide(self, seen: Observation) -> Decision:
        """As the problem's policy does."""
        place = f"mixture/{self.seed}/{seen.prefix.problem.id}"
        draw = int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest()) / 2**64
        return (self.high if draw < self.share else self.low).decide(seen)


@dataclass(frozen=True, slots=True)
class MixtureFamily:
    """A calibrated policy: one point, so its only knob is what it was calibrated for."""

    family: PolicyFamily
    mix: Mix
    goal: float

    @property
    def knobs(self) -> tuple[float, ...]:
        """The goal: a share of strong's tokens or of strong's accuracy."""
        return (self.goal,)

    def at(self, knob: float, seed: int) -> Mixed:
        """The calibrated policy; raises ConfigError for another goal."""
        if knob != self.goal:
            raise ConfigError(f"knob: {knob:g} is not {self.goal:g}, what the policy was calibrated for.")
        return Mixed(self.family.at(self.mix.low, seed), self.family.at(self.mix.high, seed), self.mix.share, seed)
