"""The features of problems' texts, fitted to the problems that a predictor learns from."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from steproute.policies.query import TfIdf
from steproute.retrieval.tfidf import terms_of

_LEAST_PROBLEMS: Final = 5  # in which a term occurs
_MOST_TERMS: Final = 4096


def fit_text(problems: Sequence[str], most_terms: int | None = _MOST_TERMS) -> TfIdf:
    """Terms that occur in 5 problems or more, and of these the `most_terms` most frequent ones; all if it is None."""
    occurs = Counter(term for problem in problems for term in set(terms_of(problem)))
    frequent = sorted(occurs.items(), key=lambda item: (-item[1], item[0]))[:most_terms]
    terms = tuple(sorted(term for term, count in frequent if count >= _LEAST_PROBLEMS))
    return TfIdf(terms, np.log((1 + len(problems)) / (1 + np.array([occurs[term] for term in terms], float))) + 1)
