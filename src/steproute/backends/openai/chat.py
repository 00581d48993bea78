"""A chat request that an OpenAI-compatible server answers as it is."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.connection import Connection
from steproute.backends.http.finish import finish_reason
from steproute.backends.http.json_fields import table, whole_number, word
from steproute.backends.http.stream import REASONING_FIELDS, Choice, Chunk, chunks, most_tokens
from steproute.backends.openai.request import reasoning_switch
from steproute.backends.openai.settings import LIMITS, OpenAiSettings
from steproute.core.chat import ChatDelta, ChatRequest, ToolCallDelta
from steproute.core.solution import Meter

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OWN_FIELDS: Final = ("stream_options", *LIMITS)
"""Fields that are not sent, or sent under another name, if the server refuses them."""
_READ: Final = frozenset({"role", "content", "refusal", "tool_calls", *REASONING_FIELDS[:-2]})
_READ_OF_CALL: Final = frozenset({"index", "id", "type", "function"})


async def chat_replies(
    name: str, connection: Connection, settings: OpenAiSettings, request: ChatRequest, meter: Meter
) -> AsyncGenerator[ChatDelta, None]:
    """One request's replies; see ChatModel.chat."""
    body = chat_body(settings, request)
    most = most_tokens({"max_tokens": request.max_tokens, **request.within_limit(settings.extra)})
    used, reading = ChatMeter(name, request, meter, request.replies * most), _Reading()

    def response(client: "AsyncOpenAI") -> AbstractAsyncContextManager[Any]:
        return connection.chat_response(client, msgspec.json.encode(body))

    async with aclosing(connection.streamed(response, used, chunks)) as arriving:
        async for chunk in arriving:
            if (failure := connection.errors.in_event(chunk.error, chunk.foreign)) is not None:
                used.discard()
                raise failure
            used.marked_end |= chunk.done
            if chunk.usage is not None:
                used.report(chunk.usage)
            for delta in reading.deltas(chunk):
                used.take(delta)
                yield delta
    for delta in used.last():
        yield delta


def chat_body(settings: OpenAiSettings, request: ChatRequest) -> dict[str, Any]:
    """The request's fields as they came, with the model, its settings' `extra` and what streaming needs."""
    fields = {**reasoning_switch(settings), **request.fields, **request.within_limit(settings.extra)}
    for name, other in (LIMITS, reversed(LIMITS)):
        if name in settings.omitted and name in fields:
            fields.setdefault(other, fields.pop(name))
    streaming = {**request.table("stream_options"), "include_usage": True}
    if settings.facts.counts_pieces:
        streaming["continuous_usage_stats"] = True
    fields |= {"model": settings.model, "messages": request.messages, "stream": True, "stream_options": streaming}
    if "stream_options" in settings.omitted:
        del fields["stream_options"]
    return fields


def unstreamed(settings: OpenAiSettings, request: ChatRequest) -> dict[str, Any]:
    """The same request without streaming and without a limit, as JSON values."""
    fields = {name: request.get(name) for name in request.fields if name not in (*OWN_FIELDS, "stream")}
    return {**fields, **settings.extra, "model": settings.model, "messages": request.messages}


class _Reading:
    """What has come of each reply."""

    def __init__(self) -> None:
        self._replies: dict[int, _ReplyReading] = {}

    def deltas(self, chunk: Chunk) -> Iterator[ChatDelta]:
        """What a chunk adds to the replies; nothing for a choice that adds nothing."""
        for choice in chunk.choices:
            delta = self._replies.setdefault(choice.index, _ReplyReading()).delta(choice)
            if delta != ChatDelta(reply=choice.index):
                yield delta


class _ReplyReading:
    """What has come of one reply. Some servers send all of it once more after its pieces."""

    def __init__(self) -> None:
        self._in_pieces = self._finished = False
        self._calls: dict[int, tuple[str, str]] = {}
        self._places: dict[int, int] = {}

    def delta(self, choice: Choice) -> ChatDelta:
        """What a choice adds."""
        finish = "" if self._finished else finish_reason(choice.finish)
        self._finished |= bool(finish)
        if choice.whole and self._in_pieces:
            return ChatDelta(reply=choice.index, finish_reason=finish)
        pieces = (self._call(*each) for each in enumerate(_listed(choice.delta.get("tool_calls"))))
        calls = tuple(piece for piece in pieces if piece != ToolCallDelta(index=piece.index))
        self._in_pieces |= not choice.whole and bool(choice.piece or choice.reasoning or calls)
        return ChatDelta(
            reply=choice.index,
            content=choice.piece,
            reasoning=choice.reasoning,
            refusal=choice.refusal,
            tool_calls=calls,
            logprobs=table(choice.choice.get("logprobs")) or None,
            finish_reason=finish,
            fields=_further(choice.delta, _READ | {"function_call"} if choice.delta.get("tool_calls") else _READ),
        )

    def _call(self, position: int, call: Mapping[str, object]) -> ToolCallDelta:
        """A piece of a call; some servers say its id and name in every piece."""
        function, id = table(call.get("function")), word(call.get("id"))
        name, arguments = word(function.get("name")), function.get("arguments")
        place = self._place(position, whole_number(call.get("index")), id, name)
        known_id, known_name = self._calls.get(place, ("", ""))
        self._calls[place] = known_id or id, known_name or name
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        return ToolCallDelta(
            index=place,
            id="" if known_id else id,
            name="" if known_name else name,
            arguments=arguments or "",
            fields=_further(call, _READ_OF_CALL),
        )

    def _place(self, position: int, index: int | None, id: str, name: str) -> int:
        """Which call it is. Without an index a new id is a new call."""
        newest = max(self._calls, default=-1)
        if index is not None:
            return self._indexed(index, id, name, newest)
        if not id:
            return max(position, newest)
        return next((place for place, (known_id, _) in self._calls.items() if known_id == id), newest + 1)

    def _indexed(self, index: int, id: str, name: str, newest: int) -> int:
        """Some servers give all calls the same index: a further name with an id of its own begins a further call."""
        place = self._places.get(index, index)
        known_id, known_name = self._calls.get(place, ("", ""))
        if id and name and known_name and known_id not in ("", id):
            place = newest + 1
        self._places[index] = place
        return place


def _listed(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _further(fields: Mapping[str, object], known: frozenset[str]) -> dict[str, object]:
    """What a server says beyond the known fields."""
    return {name: value for name, value in fields.items() if name not in known and value is not None}
