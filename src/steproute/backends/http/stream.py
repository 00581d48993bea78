"""What OpenAI-compatible servers say in the events of a stream, or in a whole JSON document."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeVar

import msgspec

from steproute.backends.http.body_reader import BodyReader, EndMark, Foreign
from steproute.backends.http.json_fields import all_text, table, tables, text_and_reasoning, whole_number, word
from steproute.backends.http.logprobs import Logprobs
from steproute.backends.http.token_counts import TokenCounts

REASONING_FIELDS: Final = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "thought",
    "reasoning_details",
    "thinking_blocks",
)
_ERRORS: Final = ("detail", "message", "msg", "Message", "errorMessage", "fault")
_SHOWN: Final = 80
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A piece of one of the answers.

    finish: why the answer ended, in the server's word; empty while it goes on. whole: the piece is all of the answer,
    which some servers send once more after its pieces. refusal: what the model says instead of an answer. delta: the
    fields of the piece as they came; choice: all of the choice.
    """

    index: int = 0
    piece: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: str = ""
    stopped_at: str = ""
    whole: bool = False
    logprobs: Logprobs | None = None
    delta: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    choice: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One event, or a whole answer that was not streamed.

    error: the body of an error. foreign: what came instead of an answer. done: the server has marked the end.
    """

    choices: tuple[Choice, ...] = ()
    usage: TokenCounts | None = None
    error: Mapping[str, object] | None = None
    foreign: Foreign | None = None
    done: bool = False


def most_tokens(request: Mapping[str, object]) -> float:
    """How many tokens the fields of a request let an answer have."""
    limits = (request.get(name) for name in ("max_tokens", "max_completion_tokens"))
    return max((limit for limit in limits if isinstance(limit, int)), default=inf)


def chunks(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
    """The chunks of a body that comes in pieces; see `events`."""
    return events(pieces, chunk_of, _ending)


async def events(
    pieces: AsyncIterator[bytes],
    read: Callable[[object], _T | None],
    ending: Callable[[EndMark | Foreign], _T],
) -> AsyncGenerator[_T, None]:
    """What `read` makes of the JSON values of a body that comes in pieces, and `ending` of its end.

    A whole JSON document ends as a stream with an end mark does; one of which `read` makes nothing is foreign. Raises
    msgspec.DecodeError if the body is damaged; whether it is complete is for the caller to see.
    """
    body, heard = BodyReader(), False
    async for piece in pieces:
        for value in _single(body.feed(piece)):
            if (event := ending(value) if isinstance(value, EndMark | Foreign) else read(value)) is not None:
                heard = True
                yield event
    last: object = None
    for last in _single(body.end()):
        if (event := ending(last) if isinstance(last, EndMark | Foreign) else read(last)) is not None:
            heard = True
            yield event
    if body.whole and body.values:
        yield ending(EndMark() if heard else Foreign(f"JSON that holds no answer, {str(last)[:_SHOWN]!r}"))


def chunk_of(value: object) -> Chunk | None:
    """The chunk that a JSON value holds, None if it says nothing.

    Raises msgspec.DecodeError for a field that is needed and of another type.
    """
    if not isinstance(value, dict):
        raise msgspec.DecodeError(f"{str(value)[:_SHOWN]!r} is no object")
    held = tables(value.get("choices"), "choices")
    if (error := error_in(value, held)) is not None:
        return Chunk(error=error)
    try:
        choices = tuple(_choice(choice, place) for place, choice in enumerate(held))
        usage = _usage(value, held)
    except RecursionError:
        raise msgspec.DecodeError("its parts are nested too deeply") from None
    return Chunk(choices=choices, usage=usage) if choices or usage is not None else None


def error_in(value: Mapping[str, object], parts: Iterable[Mapping[str, object]] = ()) -> Mapping[str, object] | None:
    """The error that an event or document is or holds, also in one of its `parts`; None if there is none."""
    for holder in (value, *parts):
        error = holder.get("error")
        if any(error.values()) if isinstance(error, dict) else error:
            return holder
    base = table(value.get("base_resp"))
    if whole_number(base.get("status_code")):
        return {"error": {"code": base["status_code"], "message": base.get("status_msg")}}
    if "error" in (value.get("object"), value.get("type")) or value.get("errors"):
        return value
    if "choices" in value or isinstance(value.get("message"), dict):  # as an event of the Messages API has
        return None
    return value if any(value.get(name) for name in _ERRORS) else None


def _single(values: Iterable[object]) -> Iterator[object]:
    """Values without null; those of a list are values of their own."""
    for value in values:
        yield from (each for each in (value if isinstance(value, list) else [value]) if each is not None)


def _ending(end: EndMark | Foreign) -> Chunk:
    return Chunk(foreign=end) if isinstance(end, Foreign) else Chunk(done=True)


def _choice(choice: Mapping[str, object], place: int) -> Choice:
    delta, message = choice.get("delta"), choice.get("message")
    whole = not delta and bool(message)
    held = message if whole else delta
    fields = held if isinstance(held, dict) else {"content": held}
    text, reasoning = text_and_reasoning(fields.get("content"))
    index = whole_number(choice.get("index"))
    return Choice(
        index=place if index is None else index,
        piece=text_and_reasoning(choice.get("text"), "text")[0] or text,
        reasoning=reasoning or _reasoning_of(fields),
        refusal=all_text(fields.get("refusal")),
        finish=word(choice.get("finish_reason")) or word(choice.get("native_finish_reason")),
        stopped_at=_stopped_at(choice),
        whole=whole,
        logprobs=Logprobs.of(choice.get("logprobs")),
        delta=fields,
        choice=choice,
    )


def _reasoning_of(fields: Mapping[str, object]) -> str:
    """Reasoning beside the text; a server that has several names for it says the same in each."""
    for name in REASONING_FIELDS:
        if name in fields and (reasoning := all_text(fields[name])):
            return reasoning
    return ""


def _stopped_at(choice: Mapping[str, object]) -> str:
    """The stop string that ended the answer; empty for a token that did."""
    reason = choice.get("stop_reason") if choice.get("stop_reason") is not None else choice.get("matched_stop")
    return reason if isinstance(reason, str) else ""


def _usage(value: Mapping[str, object], choices: list[Mapping[str, object]]) -> TokenCounts | None:
    """The counts, wherever the server puts them; None if it reports none."""
    holders = [value, *choices, table(value.get("x_groq"))]
    counts = [TokenCounts.of(usage) for each in holders if (usage := table(each.get("usage")))]
    if not counts and (timings := table(value.get("timings"))):
        return TokenCounts.of_timings(timings)
    return counts[0] if counts else None
