"""A scorer that calls nothing: the probability of a step's least likely token, to a power."""

from dataclasses import dataclass
from math import exp
from typing import ClassVar

from steproute.core.errors import ScorerError
from steproute.core.solution import Meter, Prefix, Scores, Step
from steproute.core.usage import Usage


@dataclass(frozen=True)
class WorstToken:
    """`name` is the scorer's role; `power` is a setting in steproute.toml."""

    name: str
    power: float = 1.0
    reads_confidence: ClassVar[bool] = True

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        values = tuple(self._value(step) for step in prefix.steps)
        return Scores(values=values, model=self.name, usage=Usage())

    def _value(self, step: Step) -> float:
        if step.confidence is None:
            raise ScorerError(f"a step by {step.role!r} has no log-probabilities", where=self.name)
        return exp(self.power * min(step.confidence.min_logprob, 0.0))
