"""Arbitrage: regenerate a step if the strong model is likely to write a better one, not if the step looks bad."""

from dataclasses import dataclass
from itertools import count
from math import log, prod
from typing import ClassVar, Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.logistic import logistic
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.policies.baselines.confidence import token_logprobs
from steproute.policies.trim.learned import TOKEN_SCALE

INPUTS: Final = ("log r", "log 1-r", "least", "product", "last", "tokens", "step", "strong steps", "last is strong")
"""The first inputs, by name; the draft's mean and least log-probability may follow."""
AUTHORS: Final = (7, 8)
"""Which of them say who wrote the accepted steps."""
CONFIDENCES: Final = 2
_LEAST: Final = 1e-4


def advantage_features(observation: Observation, *, confident: bool) -> F64:
    """What the network reads of a moment, (9,), or (11,) if it is `confident` of log-probabilities.

    Raises ConfigError if it is and the draft has none.
    """
    *earlier, newest = observation.scores
    authors = [step.role != "weak" for step in observation.prefix.written]
    features = [
        _log(newest),
        _log(1 - newest),
        _log(min(earlier, default=1.0)),
        _log(prod(earlier)),
        earlier[-1] if earlier else 1.0,
        observation.draft.usage.output_tokens / TOKEN_SCALE,
        observation.step / observation.max_steps,
        sum(authors) / observation.max_steps,
        float(authors[-1]) if authors else 0.0,
    ]
    if confident:
        logprobs = token_logprobs(observation)
        features += [sum(logprobs) / len(logprobs), min(logprobs)]
    return np.array(features)


@dataclass(frozen=True, slots=True)
class AdvantageNetwork:
    """P(the strong model's step is better): linear layers with ReLU between them; one layer is logistic regression.

    weights: `layers.i.weight` (out, in) and `layers.i.bias` (out,) for i = 0, 1, …; the last has one output. Raises
    ConfigError if they do not fit together.
    """

    weights: dict[str, F64]

    def __post_init__(self) -> None:
        try:
            answer = self.logit(np.zeros(self._inputs))
        except (KeyError, ValueError, IndexError) as failure:
            raise ConfigError(f"its weights do not fit together ({failure}).", where="network") from None
        if self._inputs not in (len(INPUTS), len(INPUTS) + CONFIDENCES) or answer.shape != ():
            raise ConfigError(
                f"it reads {self._inputs} inputs and answers {answer.shape}, not one logit for {len(INPUTS)} inputs.",
                where="network",
            )
        if not np.isfinite(answer):
            raise ConfigError(f"it answers {answer}, no finite logit.", where="network")

    @property
    def confident(self) -> bool:
        """Whether it reads the weak model's log-probabilities."""
        return self._inputs > len(INPUTS)

    def logit(self, features: F64) -> F64:
        """(…, inputs) to (…)."""
        hidden = features
        for index in count():
            if index:
                hidden = np.maximum(hidden, 0)
            hidden = hidden @ self.weights[f"layers.{index}.weight"].T + self.weights[f"layers.{index}.bias"]
            if f"layers.{index + 1}.weight" not in self.weights:
                break
        answer: F64 = hidden.squeeze(-1)
        return answer

    def probability(self, features: F64) -> F64:
        """ŷ: (…, inputs) to (…)."""
        return logistic(self.logit(features))

    @property
    def _inputs(self) -> int:
        return int(self.weights["layers.0.weight"].shape[1])


@dataclass(frozen=True, slots=True)
class Advantage:
    """Regenerate iff ŷ > tau: 1 is always-weak and 0 always-strong.

    Source: Arbitrage (arXiv 2512.05033), algorithm 1, with a small network over what TRIM-Agg reads instead of a text
    router. Raises ConfigError for a threshold outside [0, 1].
    """

    network: AdvantageNetwork
    tau: float
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.tau <= 1:
            raise ConfigError(f"{self.tau} is outside [0, 1].", where="tau", remedy="Give a probability.")

    @property
    def reads(self) -> frozenset[Reading]:
        """Scores, who wrote the steps, and the weak model's log-probabilities if its network has inputs for them."""
        always: frozenset[Reading] = frozenset({"scores", "authors"})
        return always | {"confidence"} if self.network.confident else always

    def decide(self, observation: Observation) -> Decision:
        """Regenerate a step if the strong model's is likely to be better."""
        features = advantage_features(observation, confident=self.network.confident)
        return Rewrite("strong") if self.network.probability(features) > self.tau else Accept()


@dataclass(frozen=True)
class AdvantageFamily:
    """One network at several thresholds; the grid holds quantiles of ŷ on held-out steps, and 0 and 1."""

    network: AdvantageNetwork
    knobs: tuple[float, ...]

    def at(self, knob: float, seed: int) -> Advantage:
        """The policy with its knob, the threshold, at `knob`; raises ConfigError outside [0, 1]."""
        return Advantage(self.network, knob)


def _log(value: float) -> float:
    return log(max(value, _LEAST))
