"""A scorer whose scores are mapped to probabilities that hold: temperature or isotonic, fitted on labelled steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.core.logistic import logistic
from steproute.core.ports import READS_AUTHORS, READS_CONFIDENCE, CombiningScorer, NewestStepScorer, StepScorer
from steproute.core.replies import returned_scores, sound_scores
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored

_EDGE = 1e-6


class ScoreMap(Protocol):
    """A monotone map of [0, 1] to itself."""

    def __call__(self, scores: F64) -> F64:
        """Element by element."""
        ...


@dataclass(frozen=True, slots=True)
class Temperature:
    """σ(logit(score) / temperature + shift): the order of scores stays as it is.

    Platt scaling with both parameters; shift 0 is plain temperature scaling (Guo et al. 2017). Raises ConfigError for a
    temperature that is not above 0.
    """

    temperature: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"{self.temperature} is not above 0.", where="temperature", remedy="Fit it again.")

    def __call__(self, scores: F64) -> F64:
        """Scores of exactly 0 and 1 are taken as 1e-6 from the edge."""
        inside = np.clip(scores, _EDGE, 1 - _EDGE)
        logits = np.log(inside / (1 - inside)) / self.temperature + self.shift
        return logistic(logits)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Piecewise linear through the knots (Zadrozny and Elkan 2002); flat beyond the ends.

    scores, values: (knot,), both ascending. Raises ConfigError if they are not.
    """

    scores: F64
    values: F64

    def __post_init__(self) -> None:
        if self.scores.shape != self.values.shape or self.scores.ndim != 1 or not self.scores.size:
            raise ConfigError(
                f"{self.scores.shape} scores and {self.values.shape} values are no map.", where="isotonic"
            )
        if (np.diff(self.scores) < 0).any() or (np.diff(self.values) < 0).any():
            raise ConfigError("scores or values do not ascend.", where="isotonic", remedy="Fit it again.")
        if self.values[0] < 0 or self.values[-1] > 1:
            raise ConfigError(
                f"values {self.values[0]:g} to {self.values[-1]:g} leave [0, 1].",
                where="isotonic",
                remedy="Fit it again.",
            )

    def __call__(self, scores: F64) -> F64:
        """Interpolated."""
        answer: F64 = np.interp(scores, self.scores, self.values)
        return answer


class CalibratedScorer:
    """Another scorer's scores, mapped; its usage and errors are passed on."""

    def __init__(self, scorer: StepScorer, score_map: ScoreMap) -> None:
        self.name = f"{scorer.name}-calibrated"
        self._scorer, self._map = scorer, score_map

    @property
    def reads_confidence(self) -> bool:
        """Whether its scorer reads the writers' confidence instead of text."""
        return READS_CONFIDENCE.of(self._scorer)

    @property
    def reads_authors(self) -> bool:
        """Whether its scorer reads who wrote the steps."""
        return READS_AUTHORS.of(self._scorer)

    @property
    def judges_newest_alone(self) -> bool:
        """Whether its scorer judges the newest step by a call of its own."""
        return isinstance(self._scorer, NewestStepScorer) and self._scorer.judges_newest_alone

    def most_usage(self, prefix: Prefix) -> Usage:
        """That of its scorer."""
        return most_scored(self._scorer, prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One probability per step."""
        return self._mapped(await self._scorer.score(prefix, meter))

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        """The newest step's probability alone."""
        assert isinstance(self._scorer, NewestStepScorer)
        return self._mapped(await self._scorer.score_newest(prefix, meter))

    def combined(self, scores: Sequence[Scores]) -> Scores:
        """An ensemble's scores, mapped."""
        assert isinstance(self._scorer, CombiningScorer)
        return self._mapped(self._scorer.combined(scores))

    def _mapped(self, scores: Scores) -> Scores:
        name = self._scorer.name
        raw = sound_scores(returned_scores(scores, name), name)
        return replace(raw, values=tuple(self._map(np.array(raw.values)).tolist()), model=self.name)
