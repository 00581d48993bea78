"""Chat requests that are passed through to an OpenAI-compatible server, over real sockets."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import partial
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, Fault, HostileServer, silent

from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.passthrough import passed_through
from steproute.core.chat import ChatDelta, ChatRequest, ToolCallDelta
from steproute.core.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    FieldRefused,
    SpendingLimitReached,
)
from steproute.core.ports import ChatModel, Continuation
from steproute.core.solution import Meter, ModelCall
from steproute.core.usage import Purpose, Usage
from steproute.engine.limiter import Limiter, slot_at

ASK = ChatRequest(messages=({"role": "user", "content": "A riddle."},))
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 12},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
SPENT = Usage(input_tokens=8, cache_read_tokens=12, output_tokens=9, reasoning_tokens=4)


class Chatting(HostileServer):
    """Answers with the given chunks; `bodies` are the requests' bytes. pause: waits so long before the last chunk."""

    def __init__(
        self, *chunks: dict[str, Any], decide: Callable[[Asked], Fault | None] = lambda request: None, pause: float = 0
    ) -> None:
        super().__init__(decide)
        self.chunks, self.pause, self.refusals = chunks, pause, list[dict[str, Any]]()

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if self.refusals:
            return await self._send(writer, 400, self.refusals.pop(0))
        head = "HTTP/1.1 200 x\r\nx-request-id: r7\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"{head}\r\n".encode())
        for number, chunk in enumerate(self.chunks, start=1):
            if self.pause and number == len(self.chunks):
                await writer.drain()
                request.closed_by_client = not await silent(reader, self.pause)
                if request.closed_by_client:
                    return False
            await self._write(writer, self._data(chunk))
            request.generated += 1
            if request.fault is Fault.EARLY_END and number == 2:
                await writer.drain()
                return False
        await self._write(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def usage(**counts: Any) -> dict[str, Any]:
    return {"choices": [], "usage": counts or USAGE}


def model_of(server: HostileServer, total_s: float = 30, **settings: Any) -> OpenAiModel:
    chosen: dict[str, Any] = {"kind": "openai", "continuation": Continuation.INSTRUCT, **settings}
    return OpenAiModel("m", OpenAiSettings(model="m-1", server=Server(base_url=server.url, total_s=total_s), **chosen))


def replies(
    server: HostileServer, request: ChatRequest = ASK, meter: Meter | None = None, **settings: Any
) -> list[ChatDelta]:
    async def run() -> list[ChatDelta]:
        async with server.running(), aclosing(model_of(server, **settings).chat(request, meter)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(run())


HELLO = (delta(role="assistant", content=""), delta(content="Good "), delta(content="day."), delta("stop"), usage())


def test_text_comes_piece_by_piece_with_finish_and_usage() -> None:
    meter = Meter()
    *pieces, last = replies(Chatting(*HELLO), meter=meter)
    assert pieces == [ChatDelta(content="Good "), ChatDelta(content="day."), ChatDelta(finish_reason="stop")]
    assert last.call is not None
    assert (last.call.usage, last.call.request_id) == (SPENT, "r7")
    assert meter.calls == [SPENT]


def test_tool_calls_come_as_deltas() -> None:
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
    first["extra_content"] = {"google": {"thought_signature": "s"}}
    *pieces, last = replies(
        Chatting(
            delta(content=None, tool_calls=[first]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}]),
            delta("tool_calls"),
            usage(),
        )
    )
    extra = {"extra_content": first["extra_content"]}
    assert [piece.tool_calls for piece in pieces[:3]] == [
        (ToolCallDelta(id="c1", name="add", fields=extra),),
        (ToolCallDelta(arguments='{"a":'),),
        (ToolCallDelta(arguments=" 1}"),),
    ]
    assert pieces[3].finish_reason == "tool_calls"
    assert last.call is not None


def test_tool_calls_without_indexes_are_counted_by_their_ids() -> None:
    calls = [{"id": id, "function": {"name": "add", "arguments": {"a": 1}}} for id in ("x", "y")]
    (piece, *_) = replies(Chatting(delta(tool_calls=calls), delta("tool_calls"), usage()))
    assert [(call.index, call.id, call.arguments) for call in piece.tool_calls] == [
        (0, "x", '{"a":1}'),
        (1, "y", '{"a":1}'),
    ]


def test_ids_and_names_that_come_with_every_piece_are_handed_on_once() -> None:
    """As llama-cpp-python's server sends them, beside a copy in the fields of the older API."""

    def piece(arguments: str) -> dict[str, Any]:
        function = {"name": "add", "arguments": arguments}
        call = {"index": 0, "id": "c1", "type": "function", "function": function}
        return delta(tool_calls=[call], function_call=function)

    first, second, *_ = replies(Chatting(piece("{"), piece("}"), delta("tool_calls"), usage()))
    assert first == ChatDelta(tool_calls=(ToolCallDelta(id="c1", name="add", arguments="{"),))
    assert second == ChatDelta(tool_calls=(ToolCallDelta(arguments="}"),))


def test_a_server_that_breaks_off_silently_is_asked_why() -> None:
    class Silent(Chatting):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            if not request.body.get("stream"):
                message = "This model's maximum context length is 8 tokens. However, you requested 9 tokens"
                error = {"message": message, "code": "context_length_exceeded"}
                return await self._send(writer, 400, {"error": error})
            return await super()._stream(request, writer, reader)

    server, meter = Silent(), Meter()
    with pytest.raises(ContextOverflow, match="maximum context length"):
        replies(server, meter=meter, kind="llama-cpp-python")
    assert server.asked[1].body["max_tokens"] == 1
    assert meter.usage == Usage()


def test_reasoning_logprobs_and_unknown_fields_come_through() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": []}]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "a", "annotations": [1]}, "logprobs": logprobs}]}
    first, second, *_ = replies(Chatting(delta(reasoning_content="Hm."), chunk, delta("stop"), usage()))
    assert first == ChatDelta(reasoning="Hm.")
    assert second == ChatDelta(content="a", logprobs=logprobs, fields={"annotations": [1]})


def test_several_replies_have_numbers() -> None:
    chunks = [delta(content="a"), delta(content="b", index=1), delta("stop", index=1), delta("length"), usage()]
    request = ChatRequest(messages=ASK.messages, fields={"n": 2})
    assert [(piece.reply, piece.content, piece.finish_reason) for piece in replies(Chatting(*chunks), request)[:4]] == [
        (0, "a", ""),
        (1, "b", ""),
        (1, "", "stop"),
        (0, "", "length"),
    ]


def test_a_document_that_is_not_streamed_is_one_delta() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Well.", "tool_calls": [call]}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": USAGE}

    class Whole(HostileServer):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            return await self._send(writer, 200, document)

    piece, last = replies(Whole(lambda request: None))
    assert piece == ChatDelta(
        content="Well.", tool_calls=(ToolCallDelta(id="c", name="add", arguments="{}"),), finish_reason="tool_calls"
    )
    assert last.call is not None
    assert last.call.usage == SPENT


def test_fields_go_out_with_the_bytes_they_came_in() -> None:
    seen = list[bytes]()

    class Raw(Chatting):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line.split(":")[1]) for line in head.split("\r\n") if "content-length" in line.lower())
            seen.append(await reader.readexactly(length))
            assert "/v1/chat/completions" in head
            return await self._stream(Asked("", {}, None), writer, reader)

    body = (
        b'{"model": "route", "seed": 12345678901234567890123, "odd": {"z": 1.10, "a":  "\\u00e9", "z": 2},'
        b'"messages": [{"role": "user", "content": "Hi", "odd": [1.0, null]}], "stream": false,'
        b'"stream_options": {"include_obfuscation": false}}'
    )
    replies(Raw(*HELLO), ChatRequest.from_json(body))
    assert b'"seed":12345678901234567890123' in seen[0]
    assert b'"odd":{"z": 1.10, "a":  "\\u00e9", "z": 2}' in seen[0]
    sent = json.loads(seen[0])
    assert sent["messages"] == [{"role": "user", "content": "Hi", "odd": [1.0, None]}]
    assert (sent["model"], sent["stream"]) == ("m-1", True)
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_settings_add_their_extra_fields_and_switch_reasoning_off() -> None:
    server = Chatting(*HELLO)
    replies(server, kind="vllm", continuation=Continuation.COMPLETIONS, thinking="off", extra={"priority": 3})
    body = server.asked[-1].body
    assert (body["chat_template_kwargs"], body["priority"]) == ({"enable_thinking": False}, 3)
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert "temperature" not in body, "the role's sampling is for steps"


@pytest.mark.parametrize(("asked", "sent"), [(7, 7), (70, 50)])
def test_extra_fields_never_raise_the_limit_of_a_request(asked: int, sent: int) -> None:
    server = Chatting(*HELLO)
    replies(server, ChatRequest(messages=ASK.messages, fields={"max_tokens": asked}), extra={"max_tokens": 50})
    assert server.asked[-1].body["max_tokens"] == sent


def test_a_refused_limit_is_sent_under_its_other_name() -> None:
    server = Chatting(*HELLO)
    server.refusals = [{"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model."}}]
    replies(server, ChatRequest(messages=ASK.messages, fields={"max_tokens": 7}))
    assert "max_tokens" not in server.asked[1].body
    assert server.asked[1].body["max_completion_tokens"] == 7


def test_a_field_of_the_request_that_the_server_refuses_is_named() -> None:
    server = Chatting(*HELLO)
    server.refusals = [{"error": {"message": "Unsupported parameter: 'temperature' is not supported."}}]
    with pytest.raises(FieldRefused) as caught:
        replies(server, ChatRequest(messages=ASK.messages, fields={"temperature": 0.2}))
    assert (caught.value.fields, caught.value.status) == (("temperature",), 400)


def test_tools_are_refused_by_name_for_a_model_without_a_chat_template() -> None:
    server = Chatting(*HELLO)
    request = ChatRequest(messages=ASK.messages, fields={"tools": [{"type": "function", "function": {"name": "f"}}]})
    with pytest.raises(FieldRefused, match="tools: m calls no tools"):
        replies(server, request, kind="vllm", continuation=Continuation.COMPLETIONS, template="none")
    assert not server.asked


def test_a_stream_that_breaks_off_is_an_error_and_billed() -> None:
    meter = Meter()
    with pytest.raises(BackendUnavailable, match=r"broke off|incomplete|peer closed"):
        replies(Chatting(*HELLO, decide=lambda request: Fault.EARLY_END), meter=meter)
    assert meter.usage.estimated
    assert meter.usage.output_tokens > 0


def test_closing_the_generator_closes_the_connection() -> None:
    async def run() -> tuple[Asked, Meter]:
        async with Chatting(*HELLO, pause=30).running() as server:
            meter = Meter()
            async with aclosing(model_of(server).chat(ASK, meter)) as deltas:
                assert (await anext(deltas)).content == "Good "
            while not server.asked[0].closed_by_client:
                await asyncio.sleep(0.001)
            return server.asked[0], meter

    asked, meter = asyncio.run(run())
    assert asked.closed_by_client
    assert meter.usage.estimated


def test_a_caller_that_is_slow_is_not_interrupted_by_the_calls_time_limit() -> None:
    async def run() -> None:
        server = Chatting(*HELLO, pause=30)
        async with server.running(), aclosing(model_of(server, total_s=0.5).chat(ASK)) as deltas:
            await anext(deltas)
            await asyncio.sleep(0.55)
            with pytest.raises(BackendTimeout, match="no complete answer within 0.5 s"):
                _ = [delta async for delta in deltas]

    asyncio.run(run())


class Bills:
    """Who was billed what."""

    def __init__(self) -> None:
        self.lines: list[tuple[Purpose, ModelCall]] = []

    def enter(self, purpose: Purpose, call: ModelCall, wait_s: float) -> None:
        self.lines.append((purpose, call))


def tried(server: HostileServer, bills: Bills, retries: int = 2) -> list[ChatDelta]:
    async def run() -> list[ChatDelta]:
        async with server.running():
            model = model_of(server)
            assert isinstance(model, ChatModel)
            async with aclosing(passed_through(model, ASK, enter=bills.enter, retries=retries)) as deltas:
                return [delta async for delta in deltas]

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.backends.passthrough._BACKOFF_S", 0.001)


def test_a_failure_before_the_first_delta_is_tried_again() -> None:
    faults, bills = [Fault.SERVER_ERROR, Fault.RATE_LIMITED], Bills()
    server = Chatting(*HELLO, decide=lambda request: faults.pop() if faults else None)
    assert "".join(delta.content for delta in tried(server, bills)) == "Good day."
    assert len(server.asked) == 3
    assert [(purpose, call.usage) for purpose, call in bills.lines] == [(Purpose.ACCEPTED, SPENT)], "429s cost nothing"


def test_a_failure_after_the_first_delta_is_not_tried_again() -> None:
    bills, server = Bills(), Chatting(*HELLO, decide=lambda request: Fault.EARLY_END)
    with pytest.raises(BackendUnavailable):
        tried(server, bills)
    assert len(server.asked) == 1
    ((purpose, call),) = bills.lines
    assert purpose is Purpose.RETRY
    assert call.usage.estimated


def test_a_retried_attempt_that_cost_something_has_a_line_of_its_own() -> None:
    faults, bills = [Fault.EARLY_END], Bills()
    chunks = (delta(role="assistant"), usage(prompt_tokens=20, completion_tokens=0), *HELLO)
    tried(Chatting(*chunks, decide=lambda request: faults.pop() if faults else None), bills)
    assert [purpose for purpose, _ in bills.lines] == [Purpose.RETRY, Purpose.ACCEPTED]
    assert bills.lines[0][1].usage.input_tokens == 20


def test_a_further_try_that_cannot_be_paid_gives_the_failure_of_the_last_one() -> None:
    slots = [nullcontext()]

    def slot(meter: Meter) -> AbstractAsyncContextManager[None]:
        if not slots:
            raise SpendingLimitReached("there is no money for it", where="max_usd")
        return slots.pop()

    async def run() -> None:
        async with Chatting(*HELLO, decide=lambda request: Fault.SERVER_ERROR).running() as server:
            deltas = passed_through(model_of(server), ASK, enter=Bills().enter, retries=2, slot=slot)
            async with aclosing(deltas):
                await anext(deltas)

    with pytest.raises(BackendUnavailable):
        asyncio.run(run())


def test_a_cancelled_request_is_billed_as_cancelled() -> None:
    async def run() -> Bills:
        async with Chatting(*HELLO, pause=30).running() as server:
            bills = Bills()
            async with aclosing(passed_through(model_of(server), ASK, enter=bills.enter)) as deltas:
                await anext(deltas)
            return bills

    ((purpose, call),) = asyncio.run(run()).lines
    assert purpose is Purpose.CANCELLED
    assert call.usage.estimated


def test_a_try_holds_its_slot_to_the_end_of_the_stream() -> None:
    async def run() -> None:
        limiter = Limiter()
        async with Chatting(*HELLO, pause=30).running() as server:
            slot = partial(slot_at, limiter)
            deltas = passed_through(model_of(server), ASK, enter=Bills().enter, slot=slot)
            async with aclosing(deltas):
                await anext(deltas)
                assert limiter.under_way == 1
            assert limiter.under_way == 0

    asyncio.run(run())


def test_several_replies_are_refused_by_a_server_that_writes_one() -> None:
    request = ChatRequest(messages=ASK.messages, fields={"n": 2})
    with pytest.raises(FieldRefused, match="n: m writes one reply per request"):
        replies(Chatting(*HELLO), request, kind="llama-cpp-python")


def test_a_body_that_is_no_chat_request_is_a_config_error() -> None:
    for body in (b"[]", b"{", b'{"messages": 3}', b"{}", b'{"messages": [{"content": "Hi"}]}'):
        with pytest.raises(ConfigError, match="messages"):
            ChatRequest.from_json(body)
    with pytest.raises(ConfigError, match="n: 'two' is no whole number above 0"):
        _ = ChatRequest.from_json(b'{"messages": [{"role": "user"}], "n": "two"}').replies


def test_a_lone_surrogate_is_named() -> None:
    with pytest.raises(BackendError, match="lone surrogate"):
        replies(Chatting(*HELLO), ChatRequest(messages=({"role": "user", "content": "\ud800"},)))


def test_a_foreign_answer_is_an_error() -> None:
    class Page(HostileServer):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            return await self._send(writer, 200, b"<html><title>Hi</title></html>")

    with pytest.raises(BackendError, match="a web page titled 'Hi'"):
        replies(Page(lambda request: None))
