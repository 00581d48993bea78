"""Whose conversation it is, and conversations that clients edit, repeat, break off or write by hand."""

import asyncio
import http.client
import json
import sqlite3
import time
from typing import Any

import pytest
from tests.serve.test_turn_faults import ask
from tests.serve.turn_gateway import ASK, TurnGateway, body
from tests.serve.turning import call, calling, saying

GOOD = calling(call("find", '{"a": 1}'))
TURN = {"role": "assistant", "content": "I look.", "tool_calls": [call("find", '{"a": 1}')]}
RESULT = {"role": "tool", "tool_call_id": "find-0", "content": "It is 5."}


def test_another_tenant_with_the_same_conversation_has_its_own_scores(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD, judge=saying("8"))
    for tenant in ("open", "other", "open", "other"):
        assert turns.ask(tenant, model="judged").status_code == 200
    assert turns.upstream.models == ["weak", "judge"] * 2 + ["weak"] * 2


def test_another_tenants_traces_and_authors_are_not_shown(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD)
    first, _ = ask(turns)
    messages = [*ASK, {"role": "assistant", **first}, RESULT]
    for tenant in ("open", "other"):
        response = turns.ask(tenant, messages=messages)
        (step,) = response.json()["steproute"]["steps"]
        assert step["role"] == "weak"
    assert turns.gateway.get(f"/v1/traces/{response.json()['id']}", turns.keys["open"]).status_code == 404


def test_one_conversation_twice_at_once_is_two_accounts(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD, judge=saying("8"))

    async def both() -> list[Any]:
        async with turns.http() as client:
            fields = body(model="judged", messages=[{"role": "user", "content": "At once."}])
            return await asyncio.gather(*(client.post("chat/completions", json=fields) for _ in range(8)))

    replies = [each.json() for each in asyncio.run(both())]
    assert len({each["id"] for each in replies}) == 8
    for each in replies:
        assert each["steproute"]["usage_by_role"]["weak"]["calls"] == 1
        assert each["steproute"]["steps"] == replies[0]["steproute"]["steps"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda messages: messages[:-2],
        lambda messages: [*messages[:1], *messages[3:]],
        lambda messages: [{**messages[0], "content": "Something else."}, *messages[1:]],
        lambda messages: [*messages, *messages[1:3], *messages[1:3]],
    ],
    ids=["shorter", "without its beginning", "another task", "longer"],
)
def test_an_edited_conversation_is_one_like_any_other(turns: TurnGateway, edit: Any) -> None:
    turns.upstream.says(weak=GOOD)
    messages = edit([*ASK, TURN, RESULT, TURN, RESULT])
    _, response = ask(turns, messages=messages)
    turn = 1 + sum(each["role"] == "assistant" for each in messages)
    assert response.json()["steproute"]["turn"] == turn
    assert response.json()["steproute"]["steps"] == [{"role": "weak", "score": 0.9, "tokens": 9}]


HALF = "half \ud83d"
ODD: dict[str, list[Any]] = {
    "no function": [*ASK, {"role": "assistant", "tool_calls": [{"id": "c"}]}, RESULT],
    "arguments as an object": [*ASK, {**TURN, "tool_calls": [{"function": {"name": "find", "arguments": {}}}]}],
    "no arguments": [*ASK, {**TURN, "tool_calls": [{"function": {"name": "find"}}]}, RESULT],
    "a name of several lines": [*ASK, {**TURN, "tool_calls": [call("a\n\nb", "{}")]}, RESULT],
    "no content": [*ASK, {"role": "assistant", "content": None}, RESULT],
    "nothing": [*ASK, {"role": "assistant", "content": ""}, RESULT],
    "blank lines": [*ASK, {"role": "assistant", "content": "\n\n a \n\n\n\n b"}, RESULT],
    "a result first": [RESULT, *ASK],
    "an assistant first": [TURN, RESULT],
    "two assistants": [*ASK, TURN, TURN, RESULT],
    "the assistant last": [*ASK, TURN],
    "a strange role": [*ASK, TURN, {"role": "\n\nfunction", "name": "f", "content": "5"}],
    "half a character": [{"role": "user", "content": HALF}, {"role": "assistant", "content": HALF}, RESULT],
    "the scorer's own token": [*ASK, {"role": "assistant", "content": "a <extra_0> b"}, RESULT],
    "a result in parts": [*ASK, TURN, {**RESULT, "content": [{"type": "text", "text": "5"}, {"type": "text"}]}],
    "parts without a type": [*ASK, TURN, {**RESULT, "content": [{}]}],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_conversation_is_answered_or_named_as_the_clients(turns: TurnGateway, name: str) -> None:
    """Whatever a client writes, it is no failure of the gateway's, and nothing stays reserved."""
    turns.upstream.says(weak=GOOD, strong=GOOD)
    sent = json.dumps(body(messages=ODD[name])).encode()
    with turns.http_now() as client:
        response = client.post("chat/completions", content=sent, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400), response.text
    assert turns.day("open").reserved_usd == 0


def test_a_task_that_quotes_the_scorers_token_is_scored(turns: TurnGateway) -> None:
    turns.upstream.says(weak=calling(call("find", '{"a": "<extra_0>"}')))
    _, response = ask(turns, messages=[{"role": "user", "content": "What is <extra_0>?"}])
    assert response.json()["steproute"]["steps"][0]["score"] == 0.9


def test_two_hundred_turns_are_read_once_by_each_model(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD, judge=saying("8"))
    messages = [*ASK, *[TURN, RESULT] * 200]
    _, response = ask(turns, messages=messages)
    assert response.json()["steproute"]["turn"] == 201
    assert turns.upstream.models == ["weak", "prm"]
    turns.upstream.says(weak=GOOD, judge=saying("8"))
    ask(turns, messages=messages, model="judged")
    assert turns.upstream.models == ["weak", "judge"]


def test_a_client_that_leaves_after_the_first_piece_has_the_turn_billed(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD)
    connection = http.client.HTTPConnection(turns.gateway.url.removeprefix("http://"))
    headers = {"content-type": "application/json", "authorization": f"Bearer {turns.keys['open']}"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body(stream=True)), headers)
    response = connection.getresponse()
    id = response.headers["x-steproute-trace-id"]
    response.read(1)
    connection.close()
    query = "SELECT role, purpose FROM lines JOIN requests ON id = request_id WHERE id = ? AND state = 'closed'"
    lines: list[Any] = []
    until = time.monotonic() + 30
    while not lines and time.monotonic() < until:
        with sqlite3.connect(turns.gateway.database) as database:
            lines = database.execute(f"{query} ORDER BY number", [id]).fetchall()
        time.sleep(0.02)
    assert lines == [("weak", "accepted"), ("prm", "score")]
    assert turns.day("open").reserved_usd == 0
