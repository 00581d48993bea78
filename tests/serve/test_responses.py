"""The Responses API over a real socket, by OpenAI's own client, whose types every event has to fit."""

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.serve.paid_gateway import ASK, PaidGateway
from tests.serve.running import PROBLEM, RunningGateway

import steproute

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}


def test_an_input_of_text_is_answered(lab_gateway: RunningGateway) -> None:
    reply = lab_gateway.client().responses.create(
        model="steproute/default",
        input=PROBLEM,
        store=False,
        metadata={"team": "blue"},
        extra_body={"steproute": {"seed": 7}},
    )
    assert reply.output_text == steproute.solve(PROBLEM, seed=7).text
    assert (reply.status, reply.error, reply.incomplete_details) == ("completed", None, None)
    assert (reply.metadata, reply.id[:5], reply.output[0].id[:4]) == ({"team": "blue"}, "resp_", "msg_")
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    assert reply.model_extra["steproute"]["trace_id"].startswith("chatcmpl-")
    Response.model_validate(reply.to_dict(), strict=True)


def test_messages_and_instructions_are_a_conversation(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"])
    reply = client.responses.create(
        model="strong",
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "Use English."},
            {"role": "user", "content": [{"type": "input_text", "text": "What is 1 + 1?"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is on it?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                ],
            },
        ],
        max_output_tokens=50,
        temperature=0.3,
    )
    assert reply.output_text == "It is 5."
    asked = paid.upstream.asked[-1].body
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Use English."},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "2"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ],
        },
    ]
    assert (asked["max_tokens"], asked["temperature"]) == (50, 0.3)
    assert (reply.instructions, reply.max_output_tokens) == ("Be brief.", 50)


def events_of(url: str, key: str, **fields: Any) -> list[dict[str, Any]]:
    """The events as they come, each of which fits the type that OpenAI's client has for it."""
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    answer = httpx2.post(
        f"{url}/responses", json={"stream": True, **fields}, headers={"authorization": f"Bearer {key}"}, timeout=60
    )
    blocks = [block for block in answer.text.split("\n\n") if "data: " in block]
    names = [block.partition("event: ")[2].partition("\n")[0] for block in blocks]
    events = [json.loads(block.partition("data: ")[2]) for block in blocks]
    assert names == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        adapter.validate_python(event)
    return events


def test_a_stream_of_text_has_its_events_in_order(lab_gateway: RunningGateway) -> None:
    events = events_of(f"{lab_gateway.url}/v1", "none", model="default", input=PROBLEM, steproute={"seed": 3})
    steps = len(events[-1]["response"]["steproute"]["steps"])
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * steps,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == events[-1]["response"]["output"][0]["content"][0]["text"] == steproute.solve(PROBLEM, seed=3).text


def test_the_clients_own_stream_gives_the_same_response(lab_gateway: RunningGateway) -> None:
    client = lab_gateway.client()
    seed = {"steproute": {"seed": 5}}
    with client.responses.stream(model="default", input=PROBLEM, extra_body=seed) as stream:
        final = stream.get_final_response()
    whole = client.responses.create(model="default", input=PROBLEM, extra_body=seed)
    assert (final.output_text, final.usage) == (whole.output_text, whole.usage)


def test_an_answer_that_a_limit_cuts_off_is_incomplete(lab_gateway: RunningGateway) -> None:
    fields = {"model": "default", "input": PROBLEM, "max_output_tokens": 20}
    reply = lab_gateway.client().responses.create(**fields)
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert events_of(f"{lab_gateway.url}/v1", "none", **fields)[-1]["type"] == "response.incomplete"


def test_a_call_of_a_function_is_an_item_and_its_output_goes_back(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"])
    first = client.responses.create(
        model="default", input=ASK, tools=[TOOL], tool_choice={"type": "function", "name": "add"}
    )
    message, call = first.output
    assert (message.content[0].text, call.name, json.loads(call.arguments)) == ("I add.", "add", {"a": 2, "b": 3})
    function = {name: TOOL[name] for name in ("name", "description", "strict", "parameters")}
    asked = paid.upstream.asked[-1].body
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "5"}
    second = client.responses.create(model="default", input=[*ASK, *first.output, output], tools=[TOOL])
    assert second.output_text == "It is 5."
    *_, said, result = paid.upstream.asked[-1].body["messages"]
    assert (said["content"], said["tool_calls"][0]["function"]["name"]) == ("I add.", "add")
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "5"}


def test_a_stream_of_a_call_has_its_events_in_order(paid: PaidGateway) -> None:
    events = events_of(paid.v1, paid.keys["open"], model="default", input=ASK, tools=[TOOL])
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    with paid.gateway.client(paid.keys["open"]).responses.stream(model="default", input=ASK, tools=[TOOL]) as stream:
        final = stream.get_final_response()
    assert final.output[1].arguments == '{"a": 2, "b": 3}'


def test_a_form_of_json_reaches_the_model(paid: PaidGateway) -> None:
    form = {"type": "json_schema", "name": "sum", "schema": {"type": "object"}, "strict": True}
    paid.gateway.client(paid.keys["open"]).responses.create(model="default", input=ASK, text={"format": form})
    schema = {"name": "sum", "schema": {"type": "object"}, "strict": True}
    assert paid.upstream.asked[-1].body["response_format"] == {"type": "json_schema", "json_schema": schema}


def test_a_model_that_fails_in_a_stream_ends_it_as_failed(paid: PaidGateway) -> None:
    events = events_of(paid.v1, paid.keys["open"], model="breaking", input=ASK)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert "peer closed" in events[-1]["response"]["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"extra_body": {"invented": 1}}, "invented"),
        ({"extra_body": {"steproute": {"knob": 0.1}}}, "steproute.knob"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    lab_gateway: RunningGateway, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        lab_gateway.client().responses.create(**{"model": "default", "input": PROBLEM, **fields})
    assert failure.value.param == param
