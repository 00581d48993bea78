"""What models and scorers return, checked before anything relies on it."""

from collections.abc import Iterable
from dataclasses import replace
from numbers import Real
from typing import Any

from steproute.core.errors import BackendError, ScorerError
from steproute.core.solution import Draft, Scores
from steproute.core.writable import is_writable, writable


def sound_draft(draft: Draft, model: str) -> Draft:
    """The draft, whose text a trace can hold; raises BackendError."""
    if not is_writable(draft.text):
        raise BackendError(
            f"wrote half a character, {writable(draft.text)[:80]!r}, which no file can hold.",
            where=model,
            remedy="Check how the backend decodes its tokens.",
        )
    return draft


def returned_scores(reply: object, scorer: str) -> Scores:
    """The reply, which has to be Scores; raises ScorerError."""
    if not isinstance(reply, Scores):
        raise ScorerError(f"returned {_short(reply)} instead of Scores. Return Scores with one per step.", where=scorer)
    return reply


def sound_scores(scores: Scores, scorer: str, steps: int | None = None) -> Scores:
    """The scores as plain numbers in [0, 1], one for each of `steps` steps if that is given.

    Raises ScorerError that names the scorer and the value.
    """
    if _are_plain(scores.values) and steps in (None, len(scores.values)):
        return scores
    if not isinstance(scores.values, Iterable) or isinstance(scores.values, str | bytes):
        raise ScorerError(
            f"its scores are {_short(scores.values)}. Return one probability for each step.", where=scorer
        )
    values = tuple(_sound(value, scorer, number) for number, value in enumerate(scores.values, start=1))
    if steps is not None and len(values) != steps:
        raise ScorerError(f"gave {len(values)} scores for {steps} steps. Return one for each step.", where=scorer)
    return replace(scores, values=values)


def _are_plain(values: object) -> bool:
    """Whether no value needs to be converted or reported, as of almost every reply."""
    return type(values) is tuple and all(type(value) is float and 0 <= value <= 1 for value in values)


def _sound(value: Any, scorer: str, number: int) -> float:
    if not _is_number(value):
        fault = "is no plain number"
    elif value != value:
        fault = "is undefined"
    elif not 0 <= value <= 1:
        fault = "is outside [0, 1]"
    else:
        return float(value)
    raise ScorerError(f"score {number}, {_short(value)}, {fault}. Return a probability for each step.", where=scorer)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _short(value: object) -> str:
    return writable(repr(value))[:80]
