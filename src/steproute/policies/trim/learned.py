"""A policy whose decisions a network takes; the same for TRIM-Agg and TRIM-Seq, run by NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading

F64 = NDArray[np.float64]
TOKEN_SCALE: Final = 300
LAYER_NORM_EPSILON: Final = 1e-5


class DecisionNetwork(Protocol):
    """What a network offers: how it sees a moment, and one logit a decision."""

    @property
    def weights(self) -> dict[str, F64]:
        """Its arrays by name."""
        ...

    @property
    def confident(self) -> bool:
        """Whether it reads weak's log-probabilities."""
        ...

    def features(self, observation: Observation, lam: float) -> F64:
        """The network's input, (inputs,); lam: λ mapped to [-1, 1]."""
        ...

    @property
    def decisions(self) -> int:
        """How many it decides among."""
        ...

    def logits(self, features: F64) -> F64:
        """(inputs,) to (decisions,): accept, then one for each role that can rewrite the step."""
        ...


def decisions_of(rewriters: Sequence[str]) -> tuple[Decision, ...]:
    """The decisions in the order of a network's logits: accept, then have each role rewrite the step."""
    return (Accept(), *map(Rewrite, rewriters))


def lambda_feature(lam: float, low: float, high: float) -> float:
    """log λ, mapped from [low, high] to [-1, 1]; 0 where λ is fixed."""
    return 0.0 if low == high else 2 * log(lam / low) / log(high / low) - 1


@dataclass(frozen=True, slots=True)
class Learned:
    """The network's likeliest decision at one λ, in right answers a strong token."""

    network: DecisionNetwork
    lam: float
    low: float
    high: float
    rewriters: tuple[str, ...] = ("strong",)
    takes_over: ClassVar[bool] = False

    @property
    def reads(self) -> frozenset[Reading]:
        """Scores, and weak's log-probabilities if its network has inputs for them."""
        return frozenset({"scores", "confidence"} if self.network.confident else {"scores"})

    def decide(self, observation: Observation) -> Decision:
        """Greedy, as in the reference's evaluation."""
        features = self.network.features(observation, lambda_feature(self.lam, self.low, self.high))
        return decisions_of(self.rewriters)[int(self.network.logits(features).argmax())]


@dataclass(frozen=True, slots=True)
class LearnedFamily:
    """One network for every λ in [low, high]; the knob is λ. low == high is a policy trained for that λ alone.

    rewriters: the roles that can write a weak step again, one for each of the network's logits after the first. Raises
    ConfigError if they are not as many, or if one is there twice.
    """

    network: DecisionNetwork
    low: float
    high: float
    grid: int = 16
    rewriters: tuple[str, ...] = ("strong",)

    def __post_init__(self) -> None:
        roles = ", ".join(("weak", *self.rewriters))
        if len({"weak", *self.rewriters}) <= len(self.rewriters):
            raise ConfigError(f"{roles}: a role is there twice.", where="roles")
        if self.network.decisions != len(self.rewriters) + 1:
            raise ConfigError(
                f"it chooses among {self.network.decisions} decisions, and the roles are {roles}.", where="network"
            )

    @property
    def knobs(self) -> tuple[float, ...]:
        """λ from low to high, evenly in its logarithm."""
        if self.low == self.high:
            return (self.low,)
        return tuple(float(f"{lam:.4g}") for lam in np.geomspace(self.low, self.high, self.grid))

    def at(self, knob: float, seed: int) -> Learned:
        """The policy at one λ; raises ConfigError for one that it was not trained for."""
        if not self.low * 0.999 <= knob <= self.high * 1.001:
            raise ConfigError(
                f"λ = {knob:g} is outside [{self.low:g}, {self.high:g}], where the policy was trained.", where="knob"
            )
        return Learned(self.network, knob, self.low, self.high, self.rewriters)


def check_logits(logits: F64, decisions: int) -> None:
    """Raises ConfigError unless they are finite, one for each decision."""
    if not np.isfinite(logits).all():
        raise ConfigError(f"it answers {logits.tolist()}, no finite logits.", where="network")
    if logits.shape != (decisions,) or decisions < 2:
        raise ConfigError(f"it answers {logits.shape}, not one logit a decision.", where="network")


def normalised(hidden: F64, gain: F64, shift: F64) -> F64:
    """Layer normalisation over the last axis."""
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
    answer: F64 = centred / spread * gain + shift
    return answer
