"""STEER: a mixture of two Gaussians over weak's confidence in its steps tells sure steps from unsure ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.logistic import logistic
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.policies.baselines.confidence import token_logprobs

POSTERIORS: Final = (
    *(0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93),
    *(0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0),
)
_LEAST_LOGPROB: Final = -5.0


@dataclass(frozen=True, slots=True)
class ConfidenceMixture:
    """Two normal components of the mean log-probability of a step's tokens, the second one that of sure steps.

    shares, means, deviations: (2,) each. Raises ConfigError for numbers that are no mixture.
    """

    shares: F64
    means: F64
    deviations: F64

    def __post_init__(self) -> None:
        if not (self.shares > 0).all() or not np.isclose(self.shares.sum(), 1.0):
            raise ConfigError(f"{self.shares} are no shares.", where="shares", remedy="Give two that add up to 1.")
        if not (self.deviations > 0).all():
            raise ConfigError(f"{self.deviations} are no deviations.", where="deviations", remedy="Give two above 0.")
        if not self.means[0] < self.means[1]:
            raise ConfigError(f"{self.means} are not in order.", where="means", remedy="Give the unsure one first.")

    def sure(self, mean_logprob: float) -> float:
        """The posterior probability that a step is of the sure component.

        Outside the two means it is that of the nearer mean, since a wide component would otherwise claim both ends. So
        it never falls as the confidence rises.
        """
        value = np.clip(mean_logprob, self.means[0], self.means[1])
        logs = np.log(self.shares / self.deviations) - 0.5 * ((value - self.means) / self.deviations) ** 2
        return float(logistic(logs[1] - logs[0]))


@dataclass(frozen=True, slots=True)
class Steer:
    """Regenerate, or in the strategy next-step hand the next step to strong, iff P(sure step) is below `threshold`."""

    mixture: ConfidenceMixture
    threshold: float
    reads: frozenset[Reading] = frozenset({"confidence"})
    takes_over: bool = False

    def decide(self, observation: Observation) -> Decision:
        """Accept a step that is of the sure component."""
        logprobs = token_logprobs(observation)
        mean = max(sum(logprobs) / len(logprobs), _LEAST_LOGPROB)
        return Rewrite("strong") if self.mixture.sure(mean) < self.threshold else Accept()


@dataclass(frozen=True, slots=True)
class SteerFamily:
    """A fitted mixture at each threshold on the posterior."""

    mixture: ConfidenceMixture

    @property
    def knobs(self) -> tuple[float, ...]:
        """The default grid."""
        return POSTERIORS

    def at(self, knob: float, seed: int) -> Steer:
        """The policy at one threshold; raises ConfigError for one that is no probability."""
        if not 0 <= knob <= 1:
            raise ConfigError(f"{knob} is outside [0, 1].", where="knob", remedy="Give a probability.")
        return Steer(self.mixture, knob)
