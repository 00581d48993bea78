"""TRIM-Agg: a small network over aggregate features decides."""

from dataclasses import dataclass
from itertools import count
from math import log, prod
from typing import Final

import numpy as np

from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.policies.baselines.confidence import token_logprobs
from steproute.policies.trim.learned import F64, TOKEN_SCALE, check_logits, normalised

AGGREGATES: Final = 5
CONFIDENCES: Final = 2
_LEAST_LOGPROB: Final = -5.0
_MOST_CERTAIN: Final = 0.99


def aggregate_features(observation: Observation) -> F64:
    """[min r_1..r_{t-1}, prod r_1..r_{t-1}, r_t, tokens of the step / 300, t / horizon], (5,); both 1 where t = 1.

    The first three are log-odds, cut off at 0.01 and 0.99 and divided by those of 0.99, so in [-1, 1]. A good PRM gives
    scores close to 0 and 1, and a network that reads them as they are does not tell 0.8 from 0.95. Source: TRIM,
    TRIM-Agg, which reads the scores as they are; the product is in the released code, not in the paper.
    """
    earlier = observation.scores[:-1]
    scores = np.clip([min(earlier, default=1.0), prod(earlier), observation.score], 1 - _MOST_CERTAIN, _MOST_CERTAIN)
    log_odds = np.log(scores / (1 - scores)) / log(_MOST_CERTAIN / (1 - _MOST_CERTAIN))
    return np.array(
        [*log_odds, observation.draft.usage.output_tokens / TOKEN_SCALE, observation.step / observation.max_steps]
    )


def agg_features(observation: Observation, lam: float) -> F64:
    """The aggregates, then λ mapped to [-1, 1]; (6,)."""
    return np.array([*aggregate_features(observation), lam])


def confident_features(observation: Observation, lam: float) -> F64:
    """The aggregates, the mean and the lowest log-probability of the step's tokens (cut at -5, over 5), then λ; (8,).

    TRIM-Agg with weak's own confidence, which costs nothing where the backend gives it. Raises ConfigError where it
    does not.
    """
    logprobs = token_logprobs(observation)
    doubt = np.maximum([sum(logprobs) / len(logprobs), min(logprobs)], _LEAST_LOGPROB) / -_LEAST_LOGPROB
    return np.array([*aggregate_features(observation), *doubt, lam])


@dataclass(frozen=True, slots=True)
class AggNetwork:
    """Blocks of linear layer, layer normalisation and tanh, then a linear layer to one logit a decision.

    The inputs are `agg_features`, or `confident_features` where the first layer has room for them.

    weights: `blocks.i.weight` (out, in), `blocks.i.bias`, `blocks.i.gain`, `blocks.i.shift` (out,) for i = 0, 1, …,
    `logits.weight` (decisions, in) and `logits.bias` (decisions,). Raises ConfigError where they do not fit together.
    """

    weights: dict[str, F64]

    def __post_init__(self) -> None:
        try:
            answer = self.logits(np.zeros(AGGREGATES + (CONFIDENCES if self.confident else 0) + 1))
        except (KeyError, ValueError, IndexError) as failure:
            raise ConfigError(f"its weights do not fit together ({failure}).", where="network") from None
        check_logits(answer, self.decisions)

    @property
    def decisions(self) -> int:
        """How many it decides among."""
        return len(self.weights["logits.bias"])

    @property
    def confident(self) -> bool:
        """Whether it reads weak's log-probabilities."""
        return bool(self.weights["blocks.0.weight"].shape[1] == AGGREGATES + CONFIDENCES + 1)

    def features(self, observation: Observation, lam: float) -> F64:
        """(6,) or (8,)."""
        return confident_features(observation, lam) if self.confident else agg_features(observation, lam)

    def logits(self, features: F64) -> F64:
        """(…, inputs) to (…, decisions): accept, then one for each role that can rewrite the step."""
        hidden = features
        for index in count():
            name = f"blocks.{index}"
            if f"{name}.weight" not in self.weights:
                break
            hidden = hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
            hidden = np.tanh(normalised(hidden, self.weights[f"{name}.gain"], self.weights[f"{name}.shift"]))
        answer: F64 = hidden @ self.weights["logits.weight"].T + self.weights["logits.bias"]
        return answer
