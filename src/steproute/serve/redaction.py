"""What is left of a trace and of an error if no text of conversations and answers may be kept."""

import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from steproute.core.solution import Step
from steproute.core.trace import Trace

NOT_KEPT: Final = "not kept, as keep_texts = false says"


def without_texts(trace: Trace) -> Trace:
    """Its steps, authors, scores, decisions, tokens and account. Texts are empty; whether there was one stays.

    Errors and notes go as well: a server's error may quote what it was sent, and a route's reason names words of it.
    """
    return replace(
        trace,
        steps=tuple(_without_text(step) for step in trace.steps),
        answer=_emptied(trace.answer),
        gold=_emptied(trace.gold),
        error=None if trace.error is None else NOT_KEPT,
        notes=(),
        fallbacks=tuple(replace(each, reason=NOT_KEPT) for each in trace.fallbacks),
    )


def frames_of(failure: BaseException) -> str:
    """Where an error and its causes were raised, and their classes, without their messages."""
    return "\n".join(
        f"{''.join(traceback.format_tb(each.__traceback__))}{type(each).__name__}" for each in _chain(failure)
    )


def _without_text(step: Step) -> Step:
    return replace(step, text="", rejected=_emptied(step.rejected))


def _emptied(text: str | None) -> str | None:
    return None if text is None else ""


def _chain(failure: BaseException | None) -> Iterator[BaseException]:
    """The causes first, as tracebacks have them."""
    if failure is not None:
        yield from _chain(failure.__cause__ or failure.__context__)
        yield failure
