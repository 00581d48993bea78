"""A trained chooser: a linear model over where the solution stands and the words of the sentences that come next."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, isfinite, log
from typing import ClassVar, Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.core.observation import Moment
from steproute.core.ports import Reading

LAMBDAS: Final = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0)
STATE: Final = ("constant", "log λ", "step", "sentences left", "newest by strong")
_LABEL: Final = re.compile(r"\((\d+)\) ")
_WORD: Final = re.compile(r"[a-z]+")
_LONG: Final = 12  # steps, the unit of the positions


@dataclass(frozen=True, slots=True)
class BoundaryRouter:
    """The probability that the strong model should write the next step.

    terms: the words it knows; weights: of STATE, then of each term in the next sentence and in the one after it,
    (feature,). The sentences are those of a problem that numbers them, "(3) …", after the last number that a step
    begins with; other problems have none, and then only STATE counts. Raises ConfigError for weights that do not fit.
    """

    terms: tuple[str, ...]
    weights: F64

    def __post_init__(self) -> None:
        if self.weights.shape != (len(STATE) + 2 * len(self.terms),):
            raise ConfigError(f"{self.weights.shape} does not fit {len(self.terms)} terms.", where="weights")

    def features(self, text: str, steps: Sequence[str], newest_role: str, lam: float) -> F64:
        """Before the step after `steps`, (feature,). newest_role: who wrote the last of them, "" for none."""
        coming = coming_sentences(text, steps)
        row = np.zeros(len(self.weights))
        row[: len(STATE)] = 1, log(lam), len(steps) / _LONG, len(coming) / _LONG, newest_role == "strong"
        for place, words in enumerate(coming[:2]):
            start = len(STATE) + place * len(self.terms)
            row[start : start + len(self.terms)] = [term in words for term in self.terms]
        return row

    def chance(self, text: str, steps: Sequence[str], newest_role: str, lam: float) -> float:
        """P(strong) for the next step."""
        return 1 / (1 + exp(-float(np.clip(self.features(text, steps, newest_role, lam) @ self.weights, -30, 30))))


@dataclass(frozen=True, slots=True)
class Boundary:
    """Strong writes the next step iff the router finds that more likely than not, at this λ."""

    router: BoundaryRouter
    lam: float
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def choose(self, moment: Moment) -> str:
        """Greedy."""
        chance = chance_at(self.router, moment, self.lam)
        return moment.ladder[-1] if chance > 0.5 else moment.ladder[0]


@dataclass(frozen=True, slots=True)
class BoundaryFamily:
    """A router at each λ, the price of always-strong in correct answers."""

    router: BoundaryRouter

    @property
    def knobs(self) -> tuple[float, ...]:
        """The default grid."""
        return LAMBDAS

    def at(self, knob: float, seed: int) -> Boundary:
        """The chooser at one λ; raises ConfigError for one that is not above 0."""
        if not (isfinite(knob) and knob > 0):
            raise ConfigError(f"{knob} is no λ.", where="knob", remedy="Give a number above 0.")
        return Boundary(self.router, knob)


def chance_at(router: BoundaryRouter, moment: Moment, lam: float) -> float:
    """P(strong) at a moment."""
    written = moment.prefix.written
    newest = written[-1].role if written else ""
    return router.chance(moment.prefix.problem.text, [step.text for step in written], newest, lam)


def coming_sentences(text: str, steps: Sequence[str]) -> list[frozenset[str]]:
    """The words of each numbered sentence that no step has reached, in order; names and numbers are left out."""
    labels = [int(found[1]) for step in steps if (found := _LABEL.match(step))]
    newest = max(labels, default=0)
    return [words for label, words in _sentences(text) if label > newest]


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[tuple[int, frozenset[str]], ...]:
    pieces = _LABEL.split(text)
    pairs = zip(pieces[1::2], pieces[2::2], strict=True)
    return tuple((int(label), frozenset(_WORD.findall(re.sub(r"\b[A-Z]\w*", "", body)))) for label, body in pairs)
