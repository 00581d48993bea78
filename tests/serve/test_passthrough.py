"""Requests with tools, JSON and fields that steps cannot do go to one model as they are, and come back as they are."""

import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest
from tests.backends.test_openai_chat import USAGE, Chatting, delta, usage
from tests.paid_servers import served
from tests.serve.paid_gateway import PaidGateway
from tests.serve.running import RunningGateway, gateway

CONFIG = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "small"
kind = "openai"
continuation = "instruct"
price = {{ input = 0.1, output = 0.4 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "large"
kind = "openai"
continuation = "instruct"
price = {{ input = 1, cache_read = 0.5, output = 10 }}
[route]
policy = "random"
knob = 0.5
"""
ASK = [{"role": "user", "content": "What is 2 + 3?"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}


@pytest.fixture(scope="module")
def upstream() -> Chatting:
    return Chatting(
        delta(role="assistant", content=None, tool_calls=[CALL]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 2,'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ' "b": 3}'}}]),
        delta("tool_calls"),
        usage(),
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Chatting) -> Iterator[RunningGateway]:
    tmp_path = tmp_path_factory.mktemp("passthrough")
    with served(upstream) as url:
        (tmp_path / "steproute.toml").write_text(CONFIG.format(url=url))
        with gateway(tmp_path, "--config", str(tmp_path / "steproute.toml")) as started:
            yield started


COST = Decimal(8 * 1 + 12 * Decimal("0.5") + 9 * 10) / 1_000_000
"""What USAGE costs at the strong model's price."""


def test_a_call_of_a_tool_comes_back_whole(running: RunningGateway, upstream: Chatting) -> None:
    reply = running.client().chat.completions.create(model="default", messages=ASK, tools=[TOOL])
    (call,) = reply.choices[0].message.tool_calls
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("c1", "add", {"a": 2, "b": 3})
    assert reply.choices[0].finish_reason == "tool_calls"
    assert reply.choices[0].message.content is None
    assert reply.usage.prompt_tokens_details.cached_tokens == USAGE["prompt_tokens_details"]["cached_tokens"]
    assert Decimal(reply.model_extra["steproute"]["cost_usd"]) == COST
    asked = upstream.asked[-1].body
    assert (asked["model"], asked["tools"], asked["messages"]) == ("large", [TOOL], ASK)


def test_a_call_of_a_tool_is_streamed_in_pieces(running: RunningGateway) -> None:
    stream = running.client().chat.completions.create(
        model="default", messages=ASK, tools=[TOOL], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    assert [call.id for call in calls if call.id] == ["c1"]
    assert "".join(call.function.arguments or "" for call in calls) == '{"a": 2, "b": 3}'
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason] == [
        "tool_calls"
    ]
    assert chunks[-1].usage.completion_tokens == USAGE["completion_tokens"]


def test_fields_that_nobody_knows_reach_the_model(running: RunningGateway, upstream: Chatting) -> None:
    field = {"z": [1.50, None], "a": "ä"}
    running.client().chat.completions.create(
        model="steproute/weak", messages=ASK, logit_bias={"7": 1}, n=1, extra_body={"invented": field}
    )
    asked = upstream.asked[-1].body
    assert (asked["model"], asked["invented"], asked["logit_bias"]) == ("small", field, {"7": 1})
    assert "steproute" not in asked


def test_a_budget_limits_the_tokens_that_are_asked_for(running: RunningGateway, upstream: Chatting) -> None:
    client = running.client()
    client.chat.completions.create(model="strong", messages=ASK, extra_body={"steproute": {"max_cost_usd": 0.02}})
    assert 0 < upstream.asked[-1].body["max_tokens"] < 0.02 * 1e6 / 10
    before = len(upstream.asked)
    with pytest.raises(openai.BadRequestError) as failure:
        client.chat.completions.create(model="strong", messages=ASK, extra_body={"steproute": {"max_cost_usd": 0.0001}})
    assert failure.value.param == "messages"
    assert len(upstream.asked) == before


def test_the_ledger_holds_each_call_at_its_price(running: RunningGateway) -> None:
    reply = running.client().chat.completions.create(model="default", messages=ASK, tools=[TOOL])
    rows = sqlite3.connect(running.database).execute(
        "SELECT role, purpose, cost_usd FROM lines WHERE request_id = ?", [reply.id]
    )
    assert rows.fetchall() == [("strong", "accepted", int(COST * 10**12))]


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_the_deadline_cuts_off_says_length(paid: PaidGateway, stream: bool) -> None:
    reply = paid.gateway.client(paid.keys["open"]).chat.completions.create(
        model="slow", messages=ASK, stream=stream, extra_body={"steproute": {"deadline_s": 1.0}}
    )
    choices = [choice for chunk in (reply if stream else [reply]) for choice in chunk.choices]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["length"]
