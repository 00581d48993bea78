"""TRIM-Agg: a small network over aggregate features decides; run by NumPy alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from math import log, prod
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation

F64 = NDArray[np.float64]
TOKEN_SCALE: Final = 300
AGGREGATES: Final = 5
DECISIONS: Final = (Decision.ACCEPT, Decision.REGENERATE)
_EPSILON: Final = 1e-5


def aggregate_features(seen: Observation) -> F64:
    """[min r_1..r_{t-1}, prod r_1..r_{t-1}, r_t, tokens of the step / 300, t / horizon], (5,); both 1 where t = 1.

    Source: TRIM, TRIM-Agg; the product is in the released code, not in the paper.
    """
    earlier = seen.scores[:-1]
    tokens = seen.draft.usage.output_tokens / TOKEN_SCALE
    return np.array([min(earlier, default=1.0), prod(earlier), seen.score, tokens, seen.step / seen.max_steps])


def lambda_feature(lam: float, low: float, high: float) -> float:
    """log λ, mapped from [low, high] to [-1, 1]; 0 where λ is fixed."""
    return 0.0 if low == high else 2 * log(lam / low) / log(high / low) - 1


@dataclass(frozen=True, slots=True)
class DecisionNetwork:
    """Blocks of linear layer, layer normalisation and tanh, then a linear layer to one logit a decision.

    weights: `blocks.i.weight` (out, in), `blocks.i.bias`, `blocks.i.gain`, `blocks.i.shift` (out,) for i = 0, 1, …,
    `logits.weight` (2, in) and `logits.bias` (2,). Raises ConfigError where they do not fit together.
    """

    weights: Mapping[str, F64]

    def __post_init__(self) -> None:
        try:
            answer = self.logits(np.zeros(self.inputs))
        except (KeyError, ValueError) as failure:
            raise ConfigError(f"network: its weights do not fit together ({failure}).") from None
        if answer.shape != (len(DECISIONS),):
            raise ConfigError(f"network: it answers {answer.shape}, not one logit a decision.")

    @property
    def inputs(self) -> int:
        """Number of features."""
        return int(self.weights["blocks.0.weight"].shape[1])

    def logits(self, features: F64) -> F64:
        """(…, inputs) to (…, 2): accept, regenerate."""
        hidden = features
        for index in count():
            name = f"blocks.{index}"
            if f"{name}.weight" not in self.weights:
                break
            hidden = hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
            centred = hidden - hidden.mean(axis=-1, keepdims=True)
            spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
            hidden = np.tanh(centred / spread * self.weights[f"{name}.gain"] + self.weights[f"{name}.shift"])
        answer: F64 = hidden @ self.weights["logits.weight"].T + self.weights["logits.bias"]
        return answer


@dataclass(frozen=True, slots=True)
class Agg:
    """The network's more likely decision at one λ, in right answers a strong token."""

    network: DecisionNetwork
    lam: float
    low: float
    high: float
    needs_scores: ClassVar[bool] = True

    def decide(self, seen: Observation) -> Decision:
        """Greedy, as in the reference's evaluation."""
        features = [*aggregate_features(seen), lambda_feature(self.lam, self.low, self.high)]
        return DECISIONS[int(self.network.logits(np.array(features)).argmax())]


@dataclass(frozen=True, slots=True)
class AggFamily:
    """One network for every λ in [low, high]; the knob is λ. low == high is a policy trained for that λ alone."""

    network: DecisionNetwork
    low: float
    high: float
    grid: int = 12

    @property
    def knobs(self) -> tuple[float, ...]:
        """λ from low to high, evenly in its logarithm."""
        if self.low == self.high:
            return (self.low,)
        return tuple(float(f"{lam:.4g}") for lam in np.geomspace(self.low, self.high, self.grid))

    def at(self, knob: float, seed: int) -> Agg:
        """The policy at one λ; raises ConfigError for one that it was not trained for."""
        if not self.low * 0.999 <= knob <= self.high * 1.001:
            raise ConfigError(
                f"knob: λ = {knob:g} is outside [{self.low:g}, {self.high:g}], where the policy was trained."
            )
        return Agg(self.network, knob, self.low, self.high)
