"""What the Messages API streams, as typed events; also its whole answers, from servers that do not stream."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from steproute.backends.http.body_reader import EndMark, Foreign
from steproute.backends.http.json_fields import table, text_and_reasoning, word
from steproute.backends.http.stream import error_in, events
from steproute.backends.http.token_counts import TokenCounts

_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, or a whole answer.

    piece, reasoning: further text. has_reasoning: whether reasoning begins or is there. finish: why the answer ended.
    done: nothing follows. error: the body of an error. foreign: what came instead of an answer.
    """

    piece: str = ""
    reasoning: str = ""
    has_reasoning: bool = False
    finish: str = ""
    usage: TokenCounts | None = None
    done: bool = False
    error: Mapping[str, object] | None = None
    foreign: Foreign | None = None


def message_events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
    """The events of a body that comes in pieces; see `http.stream.events`."""
    return events(pieces, event_of, ending_event)


def event_of(value: object) -> Event | None:
    """The event that a JSON value holds, None if it says nothing. Raises msgspec.DecodeError as `chunk_of` does."""
    if not isinstance(value, dict):
        raise msgspec.DecodeError(f"{str(value)[:_SHOWN]!r} is no object")
    if (error := error_in(value)) is not None:
        return Event(error=error)
    try:
        return _event(value)
    except RecursionError:
        raise msgspec.DecodeError("its parts are nested too deeply") from None


def _event(value: Mapping[str, object]) -> Event | None:
    message, delta, block = (table(value.get(name)) for name in ("message", "delta", "content_block"))
    content = [block, _typed(delta), message.get("content"), value.get("content")]
    piece, reasoning = text_and_reasoning(content)
    event = Event(
        piece=piece,
        reasoning=reasoning,
        has_reasoning="thinking" in word(block.get("type")) or bool(reasoning),
        finish=next(filter(None, (word(each.get("stop_reason")) for each in (delta, message, value))), ""),
        usage=_counts(value.get("usage")) or _read_alone(_counts(message.get("usage"))),
        done=value.get("type") == "message_stop",
    )
    return None if event == Event() else event


def _typed(delta: Mapping[str, object]) -> Mapping[str, object]:
    """A delta as a part of content; one without a type is recognised by its field."""
    return {"type": "thinking", **delta} if "thinking" in delta else delta


def _counts(usage: object) -> TokenCounts | None:
    return TokenCounts.of(fields) if (fields := table(usage)) else None


def _read_alone(counts: TokenCounts | None) -> TokenCounts | None:
    """Counts of an answer's first event, whose output is a placeholder."""
    return replace(counts, completion=None, total=None) if counts is not None else None


def ending_event(end: EndMark | Foreign) -> Event:
    """The event that ends a body, or says that it holds no answer."""
    return Event(foreign=end) if isinstance(end, Foreign) else Event(done=True)
