"""TRIM-Agg: a small network over aggregate features decides."""

from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Final

import numpy as np

from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.policies.learned import DECISIONS, F64, TOKEN_SCALE, normalised

AGGREGATES: Final = 5


def aggregate_features(seen: Observation) -> F64:
    """[min r_1..r_{t-1}, prod r_1..r_{t-1}, r_t, tokens of the step / 300, t / horizon], (5,); both 1 where t = 1.

    Source: TRIM, TRIM-Agg; the product is in the released code, not in the paper.
    """
    earlier = seen.scores[:-1]
    tokens = seen.draft.usage.output_tokens / TOKEN_SCALE
    return np.array([min(earlier, default=1.0), prod(earlier), seen.score, tokens, seen.step / seen.max_steps])


def agg_features(seen: Observation, lam: float) -> F64:
    """The aggregates, then λ mapped to [-1, 1]; (6,)."""
    return np.array([*aggregate_features(seen), lam])


@dataclass(frozen=True, slots=True)
class AggNetwork:
    """Blocks of linear layer, layer normalisation and tanh, then a linear layer to one logit a decision.

    weights: `blocks.i.weight` (out, in), `blocks.i.bias`, `blocks.i.gain`, `blocks.i.shift` (out,) for i = 0, 1, …,
    `logits.weight` (2, in) and `logits.bias` (2,). Raises ConfigError where they do not fit together.
    """

    weights: dict[str, F64]

    def __post_init__(self) -> None:
        try:
            answer = self.logits(np.zeros(AGGREGATES + 1))
        except (KeyError, ValueError) as failure:
            raise ConfigError(f"network: its weights do not fit together ({failure}).") from None
        if answer.shape != (len(DECISIONS),):
            raise ConfigError(f"network: it answers {answer.shape}, not one logit a decision.")

    def features(self, seen: Observation, lam: float) -> F64:
        """See `agg_features`."""
        return agg_features(seen, lam)

    def logits(self, features: F64) -> F64:
        """(…, 6) to (…, 2): accept, regenerate."""
        hidden = features
        for index in count():
            name = f"blocks.{index}"
            if f"{name}.weight" not in self.weights:
                break
            hidden = hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
            hidden = np.tanh(normalised(hidden, self.weights[f"{name}.gain"], self.weights[f"{name}.shift"]))
        answer: F64 = hidden @ self.weights["logits.weight"].T + self.weights["logits.bias"]
        return answer
