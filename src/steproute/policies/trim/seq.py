"""TRIM-Seq: a small causal transformer over the steps' scores and token counts decides."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.policies.trim.learned import F64, TOKEN_SCALE, check_logits, normalised

HORIZON: Final = 30
HEADS: Final = 4
LAYERS: Final = 2
STEP_FEATURES: Final = 2
SEQUENCE: Final = 2 + STEP_FEATURES * HORIZON


def sequence_features(observation: Observation, lam: float) -> F64:
    """[λ, t, r_1 … r_30, c_1 … c_30], (62,), of the last 30 steps; 0 after step t, tokens c_i over 300.

    Source: TRIM, TRIM-Seq.
    """
    scores = observation.scores[-HORIZON:]
    tokens = [*(step.tokens for step in observation.prefix.written), observation.draft.usage.output_tokens][-HORIZON:]
    features = np.zeros(SEQUENCE)
    features[:2] = lam, len(scores)
    features[2 : 2 + len(scores)] = scores
    features[2 + HORIZON : 2 + HORIZON + len(tokens)] = np.array(tokens) / TOKEN_SCALE
    return features


@dataclass(frozen=True, slots=True)
class SeqNetwork:
    """Pre-norm causal transformer of 2 layers and 4 heads, read at the newest step.

    weights: `step.weight` (width, 3) over (r_i, c_i, λ), `step.bias`, `position` (30, width); for each layer i
    `layers.i.` + `attention_gain`, `attention_shift`, `qkv.weight` (3 × width, width), `qkv.bias`, `out.weight`,
    `out.bias`, `mlp_gain`, `mlp_shift`, `up.weight`, `up.bias`, `down.weight`, `down.bias`; `gain`, `shift`,
    `logits.weight` (decisions, width), `logits.bias`. Raises ConfigError where they do not fit together.
    """

    weights: dict[str, F64]
    confident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        try:
            answer = self.logits(np.array([0.0, HORIZON, *np.zeros(STEP_FEATURES * HORIZON)]))
        except (KeyError, ValueError, IndexError) as failure:
            raise ConfigError(f"its weights do not fit together ({failure}).", where="network") from None
        check_logits(answer, self.decisions)

    @property
    def decisions(self) -> int:
        """How many it decides among."""
        return len(self.weights["logits.bias"])

    def features(self, observation: Observation, lam: float) -> F64:
        """See `sequence_features`."""
        return sequence_features(observation, lam)

    def logits(self, features: F64) -> F64:
        """(62,) to (decisions,): accept, then one for each role that can rewrite the step."""
        of, steps = self.weights, int(features[1])
        scores, tokens = features[2:].reshape(STEP_FEATURES, HORIZON)[:, :steps]
        x = np.column_stack([scores, tokens, np.full(steps, features[0])])  # (step, 3)
        x = x @ of["step.weight"].T + of["step.bias"] + of["position"][:steps]  # (step, width)
        for layer in range(LAYERS):
            x = self._layer(x, f"layers.{layer}")
        newest = normalised(x[-1], of["gain"], of["shift"])
        answer: F64 = newest @ of["logits.weight"].T + of["logits.bias"]
        return answer

    def _layer(self, x: F64, name: str) -> F64:
        of, (steps, width) = self.weights, x.shape
        seen = normalised(x, of[f"{name}.attention_gain"], of[f"{name}.attention_shift"])
        parts = seen @ of[f"{name}.qkv.weight"].T + of[f"{name}.qkv.bias"]
        query, key, value = parts.reshape(steps, 3, HEADS, -1).transpose(1, 2, 0, 3)  # (head, step, head width)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(width / HEADS)
        scores[:, np.triu_indices(steps, 1)[0], np.triu_indices(steps, 1)[1]] = -np.inf
        attention = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attention /= attention.sum(axis=-1, keepdims=True)
        mixed = (attention @ value).transpose(1, 0, 2).reshape(steps, width)
        x = x + mixed @ of[f"{name}.out.weight"].T + of[f"{name}.out.bias"]
        seen = normalised(x, of[f"{name}.mlp_gain"], of[f"{name}.mlp_shift"])
        hidden = np.maximum(seen @ of[f"{name}.up.weight"].T + of[f"{name}.up.bias"], 0)
        return x + hidden @ of[f"{name}.down.weight"].T + of[f"{name}.down.bias"]
