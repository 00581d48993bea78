"""TF-IDF of many short texts, and how like a new text each of them is."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log, sqrt
from typing import Final

import numpy as np

from steproute.core.arrays import F32, F64, I64

_WORD: Final = re.compile(r"\w+|[^\w\s]")


def terms_of(text: str) -> list[str]:
    """Words, numbers and single marks of a text, and pairs of neighbours, so that 20 + 4 differs from 4 + 20."""
    words = _WORD.findall(text.lower())
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextIndex:
    """Texts as vectors of length 1, whose terms and weights come from these texts alone.

    terms: sorted. starts, texts, weights: the matrix (term, text) as compressed sparse rows: the texts that hold term i
    are texts[starts[i]:starts[i + 1]]. count: of the texts.
    """

    terms: tuple[str, ...]
    starts: I64
    texts: I64
    weights: F32
    count: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextIndex":
        """The index of `texts`."""
        counts = [Counter(terms_of(text)) for text in texts]
        held = Counter(term for count in counts for term in count)
        rarity = {term: _rarity(len(texts), number) for term, number in held.items()}
        entries = sorted(
            (term, place, weight) for place, count in enumerate(counts) for term, weight in _unit(count, rarity).items()
        )
        terms = tuple(sorted(held))
        return cls(
            terms=terms,
            starts=np.cumsum([0, *(held[term] for term in terms)]),
            texts=np.array([place for _, place, _ in entries], np.int64),
            weights=np.array([weight for _, _, weight in entries], np.float32),
            count=len(texts),
        )

    def similarities(self, text: str) -> F64:
        """Cosine of `text` with each text, (text,). A term that no text holds counts as the rarest."""
        count = Counter(terms_of(text))
        result = np.zeros(self.count)
        for term, weight in _unit(count, {term: self._rarity_of(term) for term in count}).items():
            if (place := self._places.get(term)) is not None:
                found = slice(self.starts[place], self.starts[place + 1])
                result[self.texts[found]] += weight * self.weights[found]
        return result

    def _rarity_of(self, term: str) -> float:
        place = self._places.get(term)
        return _rarity(self.count, 0 if place is None else int(self.starts[place + 1] - self.starts[place]))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}


def _rarity(texts: int, holding: int) -> float:
    """Inverse document frequency, smoothed as if one more text held every term."""
    return log((1 + texts) / (1 + holding)) + 1


def _unit(count: Mapping[str, int], rarity: Mapping[str, float]) -> dict[str, float]:
    """The terms' weights in a vector of length 1."""
    weights = {term: times * rarity[term] for term, times in count.items()}
    length = sqrt(sum(weight**2 for weight in weights.values()))
    return {term: weight / length for term, weight in weights.items()}
