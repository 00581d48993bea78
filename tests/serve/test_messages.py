"""The Messages API over a real socket, by Anthropic's own client."""

from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from tests.serve.paid_gateway import PaidGateway
from tests.serve.running import PROBLEM, RunningGateway

import steproute

ASK: list[Any] = [{"role": "user", "content": PROBLEM}]
SUM: list[Any] = [{"role": "user", "content": "What is 2 + 3?"}]
TOOL: Any = {
    "name": "add",
    "description": "Adds.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}


def client_of(running: RunningGateway, key: str = "none", **settings: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=running.url, api_key=key, **settings)


def test_a_conversation_is_answered(lab_gateway: RunningGateway) -> None:
    reply = client_of(lab_gateway).messages.create(
        model="steproute/default", max_tokens=500, messages=ASK, extra_body={"steproute": {"seed": 7}}
    )
    assert reply.content[0].text == steproute.solve(PROBLEM, seed=7).text
    assert (reply.stop_reason, reply.id[:4]) == ("end_turn", "msg_")
    assert reply.usage.input_tokens > 0 < reply.usage.output_tokens
    assert Decimal(reply.model_extra["steproute"]["cost_usd"]) > 0
    Message.model_validate(reply.to_dict(), strict=True)


def test_a_stream_is_the_same_message_step_by_step(lab_gateway: RunningGateway) -> None:
    client = client_of(lab_gateway)
    fields: dict[str, Any] = {"model": "default", "max_tokens": 500, "messages": ASK}
    seed = {"steproute": {"seed": 3}}
    whole = client.messages.create(**fields, extra_body=seed)
    with client.messages.stream(**fields, extra_body=seed) as stream:
        kinds = [event.type for event in stream if event.type != "text"]
        final = stream.get_final_message()
    steps = len(whole.model_extra["steproute"]["steps"])
    deltas = ["content_block_delta"] * steps
    assert kinds == [
        "message_start",
        "content_block_start",
        *deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert (final.content[0].text, final.stop_reason) == (whole.content[0].text, whole.stop_reason)
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_an_answer_that_a_limit_cuts_off_says_so(lab_gateway: RunningGateway) -> None:
    reply = client_of(lab_gateway).messages.create(model="default", max_tokens=20, messages=ASK)
    assert reply.stop_reason == "max_tokens"


def test_a_call_of_a_tool_is_a_block_and_its_result_goes_back(paid: PaidGateway) -> None:
    client = client_of(paid.gateway, paid.keys["open"])
    fields: dict[str, Any] = {"model": "default", "max_tokens": 100, "tools": [TOOL]}
    first = client.messages.create(
        **fields,
        system=[{"type": "text", "text": "Be brief."}],
        messages=SUM,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    text, use = first.content
    assert (text.text, use.name, use.input, first.stop_reason) == ("I add.", "add", {"a": 2, "b": 3}, "tool_use")
    assert (first.usage.input_tokens, first.usage.cache_read_input_tokens, first.usage.output_tokens) == (8, 12, 9)
    asked = paid.upstream.asked[-1].body
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, *SUM]
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("required", False)
    function = {"name": "add", "description": "Adds.", "parameters": TOOL["input_schema"]}
    assert asked["tools"] == [{"type": "function", "function": function}]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "5"}
    turns = [*SUM, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(**fields, messages=turns)
    assert second.content[0].text == "It is 5."
    *_, said, sent = paid.upstream.asked[-1].body["messages"]
    assert said["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":2,"b":3}'}
    assert sent == {"role": "tool", "tool_call_id": "call_1", "content": "5"}


def test_a_call_of_a_tool_is_streamed(paid: PaidGateway) -> None:
    client = client_of(paid.gateway, paid.keys["open"])
    with client.messages.stream(model="default", max_tokens=100, messages=SUM, tools=[TOOL]) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert (final.content[1].input, final.stop_reason) == ({"a": 2, "b": 3}, "tool_use")


def test_images_stops_and_sampling_reach_the_model(paid: PaidGateway) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    client_of(paid.gateway, paid.keys["open"]).messages.create(
        model="strong",
        max_tokens=100,
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}],
        stop_sequences=["."],
        extra_body={"temperature": 0.5, "top_k": 3},
    )
    asked = paid.upstream.asked[-1].body
    assert (asked["stop"], asked["top_k"], asked["temperature"], asked["max_tokens"]) == (["."], 3, 0.5, 100)
    assert asked["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]


def test_errors_have_the_shape_that_the_client_knows(paid: PaidGateway) -> None:
    fields: dict[str, Any] = {"model": "strong", "max_tokens": 10, "messages": SUM}
    with pytest.raises(anthropic.AuthenticationError) as failure:
        client_of(paid.gateway, "wrong").messages.create(**fields)
    assert failure.value.body["error"]["type"] == "authentication_error"
    client = client_of(paid.gateway, paid.keys["open"])
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**{**fields, "model": "nothing"})
    with pytest.raises(anthropic.APIStatusError), client.messages.stream(**{**fields, "model": "broken"}) as stream:
        stream.get_final_message()
    answer = httpx2.get(f"{paid.v1}/messages")
    assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")
    with pytest.raises(anthropic.NotFoundError) as failure:
        client.messages.count_tokens(model="strong", messages=SUM)
    assert failure.value.body["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0]"),
        ({"stop_sequences": ["."]}, "stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"extra_body": {"container": "c"}}, "container"),
        ({"extra_body": {"mcp_servers": []}}, "mcp_servers"),
        ({"extra_body": {"invented": 1}}, "invented"),
        ({"metadata": {"team": "blue"}}, "metadata"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    lab_gateway: RunningGateway, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as failure:
        client_of(lab_gateway).messages.create(**{"model": "default", "max_tokens": 9, "messages": ASK, **fields})
    assert failure.value.body["error"]["message"].startswith(named)
