"""Weak's own doubt, without any scorer: its token probabilities, or the entropy at a step's first token."""

from dataclasses import dataclass
from math import exp, isfinite
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading


@dataclass(frozen=True, slots=True)
class Confidence:
    """Regenerate iff the geometric mean probability of the step's tokens is below the threshold.

    The idea of STEER (step-level log-probability confidence); no scorer is called. Raises ConfigError for a threshold
    outside [0, 1], and for a draft of a backend that gives no log-probabilities.
    """

    threshold: float
    knobs: ClassVar[tuple[float, ...]] = (
        *(0.0, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98),
        *(0.985, 0.99, 0.993, 0.996, 0.998, 0.999, 0.9995, 1.0),
    )
    reads: ClassVar[frozenset[Reading]] = frozenset({"confidence"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"{self.threshold} is outside [0, 1].", where="threshold", remedy="Give a probability.")

    @classmethod
    def at(cls, knob: float, seed: int) -> "Confidence":
        """The policy with its knob, the threshold, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Regenerate a step that weak was not sure of."""
        logprobs = token_logprobs(observation)
        probability = exp(sum(logprobs) / len(logprobs))
        return Rewrite("strong") if probability < self.threshold else Accept()


@dataclass(frozen=True, slots=True)
class FirstTokenEntropy:
    """Regenerate iff the entropy of the step's first token, in nats, is above the threshold.

    The idea of GlimpRouter, which stops weak after that token; here weak writes the step, so that strong tokens are the
    same and weak ones are more. Raises ConfigError for a threshold below 0, and for a draft of a backend that gives no
    entropy.
    """

    threshold: float
    knobs: ClassVar[tuple[float, ...]] = (
        *(10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 6e-4, 4e-4, 3e-4, 2e-4, 1.5e-4, 1e-4, 7e-5, 5e-5, 0.0),
    )
    reads: ClassVar[frozenset[Reading]] = frozenset({"confidence"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (isfinite(self.threshold) and self.threshold >= 0):
            raise ConfigError(f"{self.threshold} is no entropy.", where="threshold", remedy="Give nats, 0 or more.")

    @classmethod
    def at(cls, knob: float, seed: int) -> "FirstTokenEntropy":
        """The policy with its knob, the threshold, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Regenerate a step that began in doubt."""
        entropy = observation.draft.first_token_entropy
        if entropy is None:
            raise ConfigError(
                f"{observation.draft.model} gives no entropies.",
                where="policy",
                remedy="Use a policy that reads scores.",
            )
        return Rewrite("strong") if entropy > self.threshold else Accept()


def token_logprobs(observation: Observation) -> tuple[float, ...]:
    """Log-probabilities of the newest step's tokens; raises ConfigError where the backend gave none."""
    logprobs = observation.draft.logprobs
    if not logprobs:
        raise ConfigError(
            f"{observation.draft.model} gives no log-probabilities.",
            where="policy",
            remedy="Use a policy that reads scores.",
        )
    return logprobs
