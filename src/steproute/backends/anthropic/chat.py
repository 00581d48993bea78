"""A chat request that the Messages API answers, with its events as deltas in OpenAI's words."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.anthropic.stream import Event, ending_event, event_of
from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.finish import finish_reason
from steproute.backends.http.json_fields import table, tables, whole_number, word
from steproute.backends.http.stream import events
from steproute.core.chat import ChatDelta, ToolCallDelta


async def chat_reply(
    connection: AnthropicConnection,
    request: Callable[[Any], AbstractAsyncContextManager[Any]],
    used: ChatMeter,
) -> AsyncGenerator[ChatDelta, None]:
    """The reply to `request`, which opens the response; see ChatModel.chat."""
    reading = _Reading()
    async with aclosing(connection.streamed(request, used, _message_events)) as arriving:
        async for event, value in arriving:
            if (failure := connection.errors.in_event(event.error, event.foreign)) is not None:
                used.discard()
                raise failure
            used.marked_end |= event.done
            if event.usage is not None:
                used.report(event.usage)
            for delta in reading.deltas(event, value):
                used.take(delta)
                yield delta
    for delta in used.last():
        yield delta


_Pair = tuple[Event, Mapping[str, object]]


def _message_events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[_Pair, None]:
    return events(pieces, _pair_of, lambda end: (ending_event(end), {}))


def _pair_of(value: object) -> _Pair | None:
    """An event and all its fields; None if it holds nothing."""
    event, fields = event_of(value), table(value)
    of_block = word(fields.get("type")).startswith("content_block")
    return (event or Event(), fields) if event is not None or of_block else None


@dataclass(slots=True)
class _Block:
    """A block of the reply that is no text. index: of a call to a tool."""

    fields: dict[str, Any]
    index: int | None = None
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def is_thinking(self) -> bool:
        return "thinking" in word(self.fields.get("type"))


class _Reading:
    """The blocks of a reply so far."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._calls, self._finished = 0, False

    def deltas(self, event: Event, value: Mapping[str, object]) -> Iterator[ChatDelta]:
        """What an event adds to the reply."""
        if event.piece or event.reasoning:
            yield ChatDelta(content=event.piece, reasoning=event.reasoning)
        place = whole_number(value.get("index")) or 0
        match value.get("type"):
            case "content_block_start":
                yield from self._start(place, table(value.get("content_block")))
            case "content_block_delta" if place in self._blocks:
                yield from self._add(self._blocks[place], table(value.get("delta")))
            case "content_block_stop" if place in self._blocks:
                yield from self._stop(self._blocks.pop(place))
            case "message":
                for number, block in enumerate(tables(value.get("content"), "content")):
                    yield from self._start(number, block)
                    yield from self._stop(self._blocks.pop(number, _Block({})))
        if event.finish and not self._finished:
            self._finished = True
            yield ChatDelta(finish_reason=finish_reason(event.finish))

    def _start(self, place: int, fields: Mapping[str, object]) -> Iterator[ChatDelta]:
        block = _Block(dict(fields))
        if fields.get("type") == "tool_use":
            block.index, self._calls = self._calls, self._calls + 1
            self._blocks[place] = block
            call = ToolCallDelta(index=block.index, id=word(fields.get("id")), name=word(fields.get("name")))
            if whole := table(fields.get("input")):
                block.texts["partial_json"] = msgspec.json.encode(whole).decode()
                call = replace(call, arguments=block.texts["partial_json"])
            yield ChatDelta(tool_calls=(call,))
        elif block.is_thinking:
            self._blocks[place] = block

    def _add(self, block: _Block, delta: Mapping[str, object]) -> Iterator[ChatDelta]:
        for name in ("partial_json", "thinking", "signature"):
            if isinstance(text := delta.get(name), str):
                block.texts[name] = block.texts.get(name, "") + text
                if text and block.index is not None:
                    yield ChatDelta(tool_calls=(ToolCallDelta(index=block.index, arguments=text),))

    def _stop(self, block: _Block) -> Iterator[ChatDelta]:
        """A call without arguments gets an empty object. Reasoning comes whole, to be sent back with its signature."""
        if block.index is not None and not block.texts.get("partial_json"):
            yield ChatDelta(tool_calls=(ToolCallDelta(index=block.index, arguments="{}"),))
        elif block.is_thinking:
            yield ChatDelta(fields={"thinking_blocks": [{**block.fields, **block.texts}]})
