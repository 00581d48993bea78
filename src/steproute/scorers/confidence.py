"""Step log-probability confidence: how sure a step's own author was of it, without any other model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar, Final, Literal

from steproute.core.errors import ScorerError
from steproute.core.settings import settings_of
from steproute.core.solution import Confidence, Meter, Prefix, Scores, Step
from steproute.core.usage import Usage

Measure = Literal["mean", "min", "entropy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSettings:
    """measure: `mean` is the geometric mean probability of the step's tokens, `min` that of the least likely one, and
    `entropy` one over the number of choices at its first token, exp(−H), with the entropy H of the alternatives that
    the backend gave."""

    measure: Measure = "mean"


class ConfidenceScorer:
    """A StepScorer without calls and costs: it reads the log-probabilities that the models' backends returned."""

    reads_confidence: ClassVar[bool] = True

    def __init__(self, name: str, settings: ConfidenceSettings = ConfidenceSettings()) -> None:
        self.name, self.settings = name, settings

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "ConfidenceScorer":
        """From a table of `steproute.toml`: the fields of ConfidenceSettings. Raises ConfigError."""
        return cls(name, settings_of(table, ConfidenceSettings))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One probability per step. Raises ScorerError for a step whose backend gave no log-probabilities."""
        values = tuple(self._value(number, step) for number, step in enumerate(prefix.steps, start=1))
        return Scores(values=values, model=self.name, usage=Usage())

    def _value(self, number: int, step: Step) -> float:
        logprob = None if step.confidence is None else _LOGPROB[self.settings.measure](step.confidence)
        if logprob is None:
            raise ScorerError(
                f"step {number}, by {step.role!r}, came without log-probabilities.",
                where=self.name,
                remedy=f"Set logprobs = 5 below [models.{step.role}] if its server gives them, else use a "
                "scorer that reads text.",
            )
        return exp(min(logprob, 0.0))


def _negative_entropy(confidence: Confidence) -> float | None:
    entropy = confidence.first_token_entropy
    return None if entropy is None else -entropy


_LOGPROB: Final[Mapping[Measure, Callable[[Confidence], float | None]]] = {
    "mean": lambda confidence: confidence.mean_logprob,
    "min": lambda confidence: confidence.min_logprob,
    "entropy": _negative_entropy,
}
