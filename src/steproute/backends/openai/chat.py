"""A chat request that an OpenAI-compatible server answers as it is."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

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

OWN_FIELDS: Final = ("stream_options", *LIMITS)
"""Fields that are not sent, or sent under another name, if the server refuses them."""
_READ: Final = frozenset({"role", "content", "refusal", "tool_calls", *REASONING_FIELDS[:-2]})
_READ_OF_CALL: Final = frozenset({"index", "id", "type", "function"})


async def chat_replies(
    name: str, connection: Connection, settings: OpenAiSettings, request: ChatRequest, meter: Meter
) -> AsyncGenerator[ChatDelta, None]:
    """One request's replies; see ChatModel.chat."""
    encoded = msgspec.json.encode(chat_body(settings, request))
    most = most_tokens({"max_tokens": request.max_tokens, **settings.extra})
    used, reading = ChatMeter(name, request, meter, request.replies * most), _Reading()
    streamed = connection.streamed(lambda client: connection.chat_response(client, encoded), used.opened, chunks)
    async with aclosing(streamed) as arriving:
        async for chunk in arriving:
            if chunk.error is not None or chunk.foreign is not None:
                used.discard()
                raise _failure(connection, chunk)
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
    fields = {**reasoning_switch(settings), **request.fields, **settings.extra}
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


def _failure(connection: Connection, chunk: Chunk) -> Exception:
    if chunk.error is not None:
        return connection.error_within(chunk.error)
    assert chunk.foreign is not None
    return connection.foreign(chunk.foreign)


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
        self._calls: list[str] = []

    def delta(self, choice: Choice) -> ChatDelta:
        """What a choice adds."""
        finish = "" if self._finished else finish_reason(choice.finish)
        self._finished |= bool(finish)
        if choice.whole and self._in_pieces:
            return ChatDelta(reply=choice.index, finish_reason=finish)
        calls = tuple(self._call(*each) for each in enumerate(_listed(choice.delta.get("tool_calls"))))
        self._in_pieces |= not choice.whole and bool(choice.piece or choice.reasoning or calls)
        return ChatDelta(
            reply=choice.index,
            content=choice.piece,
            reasoning=choice.reasoning,
            refusal=choice.refusal,
            tool_calls=calls,
            logprobs=table(choice.choice.get("logprobs")) or None,
            finish_reason=finish,
            fields={name: value for name, value in choice.delta.items() if name not in _READ and value is not None},
        )

    def _call(self, position: int, call: Mapping[str, object]) -> ToolCallDelta:
        function, id = table(call.get("function")), word(call.get("id"))
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        return ToolCallDelta(
            index=self._place(position, whole_number(call.get("index")), id),
            id=id,
            name=word(function.get("name")),
            arguments=arguments or "",
            fields={name: value for name, value in call.items() if name not in _READ_OF_CALL and value is not None},
        )

    def _place(self, position: int, index: int | None, id: str) -> int:
        """Which call it is. Without an index a new id is a new call."""
        if index is not None:
            return index
        if id and id not in self._calls:
            self._calls.append(id)
        return self._calls.index(id) if id else max(position, len(self._calls) - 1)


def _listed(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
