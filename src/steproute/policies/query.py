"""Query-level predictors: the chance that weak answers a problem right, from the problem's text alone."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

import numpy as np

from steproute.core.arrays import F64
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.logistic import logistic
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.retrieval.tfidf import terms_of

_WORD: Final = re.compile(r"\w+|[^\w\s]")
_SHARPNESS: Final = 10.0


class Predictor(Protocol):
    """P(weak is right) of a problem's text."""

    def probability(self, text: str) -> float:
        """In [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class TfIdf:
    """Counts of words and pairs of neighbours, times their inverse document frequencies.

    terms: in the order of the vector; idf: (term,). Raises ConfigError where they do not fit together.
    """

    terms: tuple[str, ...]
    idf: F64
    places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {term: place for place, term in enumerate(self.terms)})
        if self.idf.shape != (len(self.terms),):
            raise ConfigError(
                f"shape {self.idf.shape} for {len(self.terms)} terms.", where="idf", remedy="Give one for each."
            )

    def vector(self, text: str) -> F64:
        """(term,), of length 1 unless no term is known."""
        weights = np.zeros(len(self.terms))
        for term, count in Counter(terms_of(text)).items():
            if (place := self.places.get(term)) is not None:
                weights[place] = count
        weights *= self.idf
        length = float(np.linalg.norm(weights))
        return weights / length if length else weights


@dataclass(frozen=True, slots=True)
class SimilarityRanking:
    """RouteLLM's similarity-weighted ranking (arXiv 2406.18665): a vote of past problems, the similar ones louder.

    A vote weighs 10^(1 + similarity / highest similarity). With two models the weighted Bradley-Terry fit is the
    weighted share. vectors: (problem, term); right: (problem,), whether weak solved it.
    """

    text: TfIdf
    vectors: F64
    right: F64

    def probability(self, text: str) -> float:
        """The weighted share of problems that weak solved."""
        similarity = self.vectors @ self.text.vector(text)
        weights = _SHARPNESS ** (1 + similarity / max(float(similarity.max()), 1e-12))
        return float(weights @ self.right / weights.sum())


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """Logistic regression on the problem's terms and the logarithm of its length; weights: (term + 1,)."""

    text: TfIdf
    weights: F64
    bias: float

    def probability(self, text: str) -> float:
        """Of weak being right."""
        return float(logistic(classifier_features(self.text, text) @ self.weights + self.bias))


def classifier_features(text: TfIdf, problem: str) -> F64:
    """The terms' weights, then the logarithm of the number of words; (term + 1,)."""
    return np.append(text.vector(problem), np.log(1 + len(_WORD.findall(problem))))


@dataclass(frozen=True, slots=True)
class Query:
    """Send the whole problem to strong iff P(weak is right) is below the threshold; for strategy `query`."""

    predictor: Predictor
    threshold: float
    reads: ClassVar[frozenset[Reading]] = frozenset()
    takes_over: ClassVar[bool] = False

    def decide(self, observation: Observation) -> Decision:
        """The same whatever has been written."""
        chance = self.predictor.probability(observation.prefix.problem.text)
        return Rewrite("strong") if chance < self.threshold else Accept()


@dataclass(frozen=True)
class QueryFamily:
    """One predictor at several thresholds; the grid holds quantiles of its predictions on its training problems."""

    predictor: Predictor
    knobs: tuple[float, ...]

    def at(self, knob: float, seed: int) -> Query:
        """The policy with its knob, the threshold, at `knob`; raises ConfigError outside [0, 1]."""
        if not 0 <= knob <= 1:
            raise ConfigError(f"{knob:g} is outside [0, 1].", where="knob", remedy="Give a probability.")
        return Query(self.predictor, knob)


def quantile_grid(probabilities: Sequence[float], size: int = 20) -> tuple[float, ...]:
    """Thresholds between which equal shares of the predictions lie, 0 and 1 at the ends."""
    inner = np.quantile(probabilities, np.arange(1, size) / size)
    return tuple(sorted({0.0, 1.0, *(float(f"{value:.6g}") for value in inner)}))
