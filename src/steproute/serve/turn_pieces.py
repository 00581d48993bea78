"""The pieces of a buffered turn, as they are sent."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from steproute.core.chat import ChatDelta

_TEXT: Final = -1


def in_order(deltas: Sequence[ChatDelta]) -> list[ChatDelta]:
    """The pieces, in which nothing comes between two pieces of a call; unchanged if nothing does.

    `/v1/messages` and `/v1/responses` end a call where another or a text begins, and cannot return to it.
    """
    places = [place for place, _ in groupby(_places(deltas))]
    if len(places) == len({*places} - {_TEXT}) + places.count(_TEXT):
        return list(deltas)
    rest = [replace(delta, tool_calls=()) for delta in deltas]
    texts = [delta for delta in rest if delta != ChatDelta() and not delta.finish_reason]
    calls = sorted((call for delta in deltas for call in delta.tool_calls), key=lambda call: call.index)
    ends = [delta for delta in rest if delta.finish_reason]
    return [*texts, *(ChatDelta(tool_calls=(call,)) for call in calls), *ends]


def _places(deltas: Sequence[ChatDelta]) -> list[int]:
    """What each piece goes on with: the number of a call, or a text."""
    places: list[int] = []
    for delta in deltas:
        places += [_TEXT] if delta.content or delta.reasoning or delta.refusal else []
        places += [call.index for call in delta.tool_calls]
    return places
