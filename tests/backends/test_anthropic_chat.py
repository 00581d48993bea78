"""Chat requests in OpenAI's words that are passed through to the Messages API, over real sockets."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from tests.backends.http.hostile import Asked
from tests.backends.http.hostile_anthropic import HostileAnthropic
from tests.backends.test_anthropic_server import Canned, begun, ended, said

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.server import Server
from steproute.core.chat import ChatDelta, ChatRequest, ToolCallDelta
from steproute.core.errors import BackendUnavailable, ConfigError, FieldRefused, RateLimited, SteprouteError
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Prefix, Sampling
from steproute.core.usage import Usage

USER = {"role": "user", "content": "What is 1 + 2?"}
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": PARAMETERS}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def asked(server: Canned, *messages: dict[str, Any], **fields: Any) -> tuple[list[ChatDelta], Meter]:
    return with_settings(server, messages or (USER,), fields)


def with_settings(
    server: Canned, messages: tuple[dict[str, Any], ...], fields: dict[str, Any], **settings: Any
) -> tuple[list[ChatDelta], Meter]:
    async def run() -> tuple[list[ChatDelta], Meter]:
        meter = Meter()
        async with server.running():
            model = AnthropicModel("m", AnthropicSettings(model="m-1", server=Server(base_url=server.url), **settings))
            request = ChatRequest(messages=messages, fields=fields)
            async with aclosing(model.chat(request, meter)) as deltas:
                return [delta async for delta in deltas], meter

    return asyncio.run(run())


def sent(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    server = hello()
    asked(server, *messages, **fields)
    return server.asked[-1].body


def hello(reason: str = "end_turn") -> Canned:
    return Canned(begun(), said("Good "), said("day."), ended(reason), {"type": "message_stop"})


def started(place: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": place, "content_block": block}


def added(place: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": place, "delta": delta}


def stopped(place: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": place}


def test_text_comes_piece_by_piece_with_finish_and_usage() -> None:
    counts = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    server = Canned(
        begun(input_tokens=8, cache_read_input_tokens=12, cache_creation_input_tokens=3, output_tokens=1),
        said("Good "),
        said("day."),
        ended(**counts),
        {"type": "message_stop"},
    )
    (*pieces, last), meter = asked(server)
    assert pieces == [ChatDelta(content="Good "), ChatDelta(content="day."), ChatDelta(finish_reason="stop")]
    assert last.call is not None
    assert last.call.request_id == "r7"
    usage = Usage(input_tokens=8, cache_read_tokens=12, cache_write_tokens=3, output_tokens=9, reasoning_tokens=4)
    assert last.call.usage == usage
    assert meter.calls == [usage]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons_are_finish_reasons(reason: str, finish: str) -> None:
    deltas, _ = asked(hello(reason))
    assert deltas[-2].finish_reason == finish


def test_tool_calls_come_as_deltas() -> None:
    server = Canned(
        begun(),
        started(0, type="text", text=""),
        said("Let me add."),
        stopped(0),
        started(1, type="tool_use", id="t1", name="add", input={}),
        added(1, type="input_json_delta", partial_json=""),
        added(1, type="input_json_delta", partial_json='{"a":'),
        added(1, type="input_json_delta", partial_json=" 1}"),
        stopped(1),
        started(2, type="tool_use", id="t2", name="now", input={}),
        stopped(2),
        ended("tool_use"),
        {"type": "message_stop"},
    )
    (text, *calls, finish, _), _ = asked(server, tools=[ADD])
    assert text.content == "Let me add."
    assert [call.tool_calls for call in calls] == [
        (ToolCallDelta(id="t1", name="add"),),
        (ToolCallDelta(arguments='{"a":'),),
        (ToolCallDelta(arguments=" 1}"),),
        (ToolCallDelta(index=1, id="t2", name="now"),),
        (ToolCallDelta(index=1, arguments="{}"),),
    ]
    assert finish.finish_reason == "tool_calls"


def test_reasoning_comes_in_pieces_and_whole_with_its_signature() -> None:
    server = Canned(
        begun(),
        started(0, type="thinking", thinking=""),
        added(0, type="thinking_delta", thinking="Hm"),
        added(0, type="thinking_delta", thinking="."),
        added(0, type="signature_delta", signature="sig"),
        stopped(0),
        started(1, type="redacted_thinking", data="xyz"),
        stopped(1),
        said("Three."),
        ended(),
        {"type": "message_stop"},
    )
    deltas, _ = with_settings(server, (USER,), {}, thinking="hide")
    assert "".join(delta.reasoning for delta in deltas) == "Hm."
    assert [delta.fields for delta in deltas if delta.fields] == [
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "xyz"}]},
    ]
    assert server.asked[0].body["thinking"] == {"type": "adaptive", "display": "summarized"}


def test_a_document_that_is_not_streamed_is_read() -> None:
    class Whole(Canned):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            content = [
                {"type": "text", "text": "Well."},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
            ]
            counts = {"input_tokens": 9, "output_tokens": 3}
            message = {"type": "message", "role": "assistant", "content": content, "stop_reason": "tool_use"}
            return await self._send(writer, 200, {**message, "usage": counts})

    (text, call, finish, last), _ = asked(Whole())
    assert text.content == "Well."
    assert call.tool_calls == (ToolCallDelta(id="t1", name="add", arguments='{"a":1}'),)
    assert finish.finish_reason == "tool_calls"
    assert last.call is not None
    assert last.call.usage == Usage(input_tokens=9, output_tokens=3)


def test_a_conversation_with_tools_is_translated() -> None:
    calls = [
        {"id": f"t{number}", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        for number in (1, 2)
    ]
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    body = sent(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be exact."}]},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, PNG]},
        {"role": "assistant", "content": None, "tool_calls": calls, "thinking_blocks": [thinking], "refusal": None},
        {"role": "tool", "tool_call_id": "t1", "content": "3"},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "4"}]},
        {"role": "user", "content": "And now?"},
    )
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be exact."]
    user, assistant, results = body["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    assert user == {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image", "source": source}]}
    uses = [{"type": "tool_use", "id": id, "name": "add", "input": {"a": 1}} for id in ("t1", "t2")]
    assert assistant == {"role": "assistant", "content": [thinking, *uses]}
    assert results["role"] == "user"
    assert results["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "3"}]},
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "4"}]},
        {"type": "text", "text": "And now?"},
    ]


def test_tools_are_translated() -> None:
    body = sent(tools=[{**ADD, "function": {**ADD["function"], "strict": True}}])
    assert body["tools"] == [{"name": "add", "description": "Adds.", "strict": True, "input_schema": PARAMETERS}]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("none", True, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "function", "function": {"name": "add"}}, None, {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choices_are_translated(choice: Any, parallel: bool | None, expected: dict[str, Any]) -> None:
    assert sent(tools=[ADD], tool_choice=choice, parallel_tool_calls=parallel)["tool_choice"] == expected


def test_further_fields_are_translated() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS, "strict": True}}
    body = sent(max_completion_tokens=7, stop="END", user="u1", response_format=form, store=False, n=1, top_k=3)
    assert (body["max_tokens"], body["stop_sequences"], body["metadata"]) == (7, ["END"], {"user_id": "u1"})
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": PARAMETERS}}
    assert body["top_k"] == 3
    assert body["thinking"] == {"type": "disabled"}
    assert not {"store", "n", "user", "stop", "stream_options"} & body.keys()


def test_a_request_without_a_limit_gets_one() -> None:
    assert sent()["max_tokens"] == 8192


@pytest.mark.parametrize(("asked", "sent"), [(7, 7), (70, 50)])
def test_extra_fields_never_raise_the_limit_of_a_request(asked: int, sent: int) -> None:
    server = hello()
    with_settings(server, (USER,), {"max_tokens": asked}, extra={"max_tokens": 50})
    assert server.asked[-1].body["max_tokens"] == sent


def test_sampling_fields_go_out_with_the_version_of_the_api_that_knows_them() -> None:
    server = hello()
    asked(server, temperature=0.2)
    assert server.asked[0].body["temperature"] == 0.2
    assert "anthropic-version: 2023-06-01" in server.asked[0].head


FILE = {"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}
AUDIO = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}
CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": "[1"}}


@pytest.mark.parametrize(
    ("message", "fields", "where"),
    [
        (USER, {"n": 2}, "n"),
        (USER, {"seed": 3}, "seed"),
        (USER, {"logprobs": True}, "logprobs"),
        (USER, {"reasoning_effort": "low"}, "reasoning_effort"),
        (USER, {"odd": 1}, "odd"),
        (USER, {"response_format": {"type": "json_object"}}, "response_format"),
        (USER, {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        (USER, {"tools": [ADD], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({**USER, "name": "Ann"}, {}, "messages[0].name"),
        ({"role": "function", "content": "3"}, {}, "messages[0].role"),
        (FILE, {}, "messages[0].content[0].file.file_id"),
        (AUDIO, {}, "messages[0].content[0]"),
    ],
)
def test_what_the_api_cannot_do_is_refused_by_name(message: Any, fields: Any, where: str) -> None:
    server = hello()
    with pytest.raises(FieldRefused) as caught:
        asked(server, message, **fields)
    assert caught.value.where == where
    assert caught.value.remedy
    assert not server.asked


@pytest.mark.parametrize(
    ("message", "fields", "where"),
    [
        ({"role": "tool", "content": "3"}, {}, "messages[0]"),
        ({"role": "assistant", "tool_calls": [CALL]}, {}, "messages[0].tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [{"id": "t1"}]}, {}, "messages[0].tool_calls[0]"),
        ({"role": "user", "content": 3}, {}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, {}, "messages[0].content[0]"),
        (USER, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (USER, {"tools": {}}, "tools"),
        (USER, {"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_damaged_requests_are_config_errors(message: Any, fields: Any, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(hello(), message, **fields)
    assert caught.value.where == where


def test_sampling_that_claude_refuses_is_named() -> None:
    error = (400, "invalid_request_error", "temperature: Extra inputs are not permitted")
    with pytest.raises(FieldRefused) as caught:
        asked(Canned(error=error), temperature=0.2)
    assert caught.value.fields == ("temperature",)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (529, BackendUnavailable)])
def test_errors_are_those_of_the_step_path(status: int, kind: type[SteprouteError]) -> None:
    with pytest.raises(kind):
        asked(Canned(error=(status, "some_error", "slow down")))


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises(BackendUnavailable, match="broke off"):
        asked(Canned(begun(), said("Good ")))


def test_an_error_in_the_middle_is_an_error() -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(BackendUnavailable, match="Overloaded"):
        asked(Canned(begun(), said("Good "), overloaded))


def test_closing_the_generator_closes_the_connection() -> None:
    async def run() -> Meter:
        server, meter = HostileAnthropic(lambda request: None), Meter()
        server.token_s = 0.02
        async with server.running():
            model = AnthropicModel("m", AnthropicSettings(model="m-1", server=Server(base_url=server.url)))
            async with aclosing(model.chat(ChatRequest(messages=(USER,)), meter)) as deltas:
                await anext(deltas)
            while not server.asked[0].closed_by_client:
                await asyncio.sleep(0.001)
        return meter

    meter = asyncio.run(run())
    assert meter.usage.estimated
    assert meter.usage.input_tokens > 0


def test_a_limit_in_the_extra_fields_counts_in_what_a_step_can_use() -> None:
    settings = AnthropicSettings(model="m-1", server=Server(base_url="http://127.0.0.1:1"), extra={"max_tokens": 9000})
    prefix = Prefix(problem=Problem(id="p", messages=(USER,)))
    assert AnthropicModel("m", settings).most_usage(prefix, 2, Sampling(max_tokens=100)).output_tokens >= 2 * 9000
