"""What a client gets, and what is billed, if the models behind a route of agents go wrong or write odd turns."""

import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.backends.http.hostile import Fault
from tests.backends.test_openai_chat import delta, usage
from tests.serve.turn_gateway import TurnGateway, body
from tests.serve.turning import call, calling, saying

GOOD = calling(call("find", '{"a": 1}'))
WRONG = calling(call("find", '{"a": "wrong"}'))
STRONG = calling(call("read", '{"page": 7}'))
ANSWERED = (Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.ERROR_BODY)
FAULTS = [(role, fault) for role in ("weak", "strong", "prm") for fault in ANSWERED]
FAULTS += [("weak", Fault.EARLY_END), ("strong", Fault.EARLY_END)]


def ask(turns: TurnGateway, stream: bool = False, **fields: Any) -> tuple[dict[str, Any], httpx2.Response]:
    """The message, whole or put together of a stream's pieces."""
    response = turns.ask(stream=stream, **fields)
    assert response.status_code == 200, response.text
    if not stream:
        return response.json()["choices"][0]["message"], response
    message: dict[str, Any] = {"content": "", "refusal": "", "tool_calls": {}}
    for chunk in chunks(response):
        for piece in [choice["delta"] for choice in chunk.get("choices", ())]:
            message["content"] += piece.get("content") or ""
            message["refusal"] += piece.get("refusal") or ""
            for each in piece.get("tool_calls") or ():
                whole = message["tool_calls"].setdefault(each["index"], {"name": "", "arguments": ""})
                whole["name"] += each["function"].get("name") or ""
                whole["arguments"] += each["function"].get("arguments") or ""
    calls = [{"function": message["tool_calls"][index]} for index in sorted(message["tool_calls"])]
    return {**message, "tool_calls": calls}, response


def chunks(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in response.text.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


def called(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["function"]["name"], each["function"]["arguments"]) for each in message["tool_calls"]]


def newest(turns: TurnGateway) -> list[tuple[str, str]]:
    """Role and purpose of each call of the newest request that has ended."""
    with sqlite3.connect(turns.gateway.database) as database:
        (id,) = database.execute("SELECT id FROM requests ORDER BY created_ms DESC, rowid DESC LIMIT 1").fetchone()
        return database.execute("SELECT role, purpose FROM lines WHERE request_id = ? ORDER BY number", [id]).fetchall()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("role", "fault"), FAULTS)
def test_a_fault_is_one_answer_that_no_client_retries(
    turns: TurnGateway, role: str, fault: Fault, stream: bool
) -> None:
    turns.upstream.says(weak=WRONG, strong=STRONG)
    turns.upstream.faults = {role: fault}
    response = turns.ask(stream=stream)
    assert response.status_code == 502, response.text
    assert response.headers["x-should-retry"] == "false"
    assert turns.upstream.url not in response.text
    assert "wrong" not in response.text
    day = turns.day("open")
    assert (day.reserved_usd, day.reserved_tokens) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("role", ["weak", "strong", "prm"])
def test_a_deadline_ends_a_turn_that_hangs(turns: TurnGateway, role: str, stream: bool) -> None:
    turns.upstream.says(weak=WRONG, strong=STRONG)
    turns.upstream.faults = {role: Fault.HANG}
    message, response = ask(turns, stream, steproute={"deadline_s": 0.3})
    assert not message["content"]
    assert not message.get("tool_calls")
    assert '"deadline"' in response.text
    assert '"finish_reason":"length"' in response.text
    assert turns.day("open").reserved_usd == 0


@pytest.mark.parametrize("role", ["weak", "strong", "prm"])
def test_a_client_that_leaves_frees_its_reservation(turns: TurnGateway, role: str) -> None:
    """Whoever is being waited for."""
    turns.upstream.says(weak=WRONG, strong=STRONG)
    turns.upstream.faults = {role: Fault.HANG}
    for stream in (False, True):
        with turns.http_now() as http, pytest.raises(httpx2.ReadTimeout):
            http.post("chat/completions", json=body(stream=stream), timeout=0.3)
    until = time.monotonic() + 30
    while (reserved := turns.day("open").reserved_usd) and time.monotonic() < until:
        time.sleep(0.05)
    assert reserved == 0
    before = {"weak": [], "prm": [("weak", "discarded")], "strong": [("weak", "discarded"), ("prm", "score")]}
    assert newest(turns) == [*before[role], (role, "cancelled")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "role"), [("agent", "weak"), ("agent", "strong"), ("strong", "strong")])
def test_a_conversation_that_is_too_long_says_so_as_openai_does(
    turns: TurnGateway, model: str, role: str, stream: bool
) -> None:
    """Agents shorten it then. An empty turn would read as the end of their task."""
    turns.upstream.says(weak=WRONG, strong=STRONG)
    turns.upstream.too_short = role
    response = turns.ask(model=model, stream=stream)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert response.json()["error"]["param"] == "messages"
    assert turns.day("open").reserved_usd == 0


def test_a_conversation_that_is_too_long_for_the_scorer_alone_is_the_operators(turns: TurnGateway) -> None:
    """Who declares on_scorer_failure."""
    turns.upstream.says(weak=WRONG, strong=STRONG)
    turns.upstream.too_short = "prm"
    response = turns.ask()
    assert response.status_code == 502
    assert "maximum context length" in response.json()["error"]["message"]
    message, _ = ask(turns, model="unscored")
    assert called(message) == [("read", '{"page": 7}')]


def test_a_turn_whose_server_reports_no_usage_is_billed_by_an_estimate(turns: TurnGateway) -> None:
    turns.upstream.says(weak=GOOD[:-1])
    _, response = ask(turns)
    assert response.json()["usage"]["completion_tokens"] > 0
    assert newest(turns) == [("weak", "accepted"), ("prm", "score")]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_in_pieces_of_a_character_and_interleaved_are_put_together(turns: TurnGateway, stream: bool) -> None:
    texts = ('{"a": "ä 😀 \\ud83d\\ude00 \\n\\n"}', '{"b": [1, 2]}')
    begun = [delta(tool_calls=[call(name, "", index)]) for index, name in enumerate(("find", "read"))]
    pieces = [
        delta(tool_calls=[{"index": index, "function": {"arguments": text[place]}}])
        for place in range(max(map(len, texts)))
        for index, text in enumerate(texts)
        if place < len(text)
    ]
    turns.upstream.says(weak=[*begun, *pieces, delta("tool_calls"), usage()])
    message, _ = ask(turns, stream)
    assert called(message) == [("find", texts[0]), ("read", texts[1])]
    assert turns.upstream.models == ["weak", "prm"]


def test_calls_that_all_have_one_index_are_told_apart_by_their_ids(turns: TurnGateway) -> None:
    """As some servers number them; the pieces that follow belong to the newest."""
    first, second = call("find", '{"a": 1}'), {**call("read", '{"page"'), "id": "read-1"}
    rest = {"index": 0, "function": {"arguments": ": 7}"}}
    turns.upstream.says(
        weak=[*(delta(tool_calls=[each]) for each in (first, second, rest)), delta("tool_calls"), usage()]
    )
    message, _ = ask(turns)
    assert called(message) == [("find", '{"a": 1}'), ("read", '{"page": 7}')]
    assert turns.upstream.models == ["weak", "prm"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("arguments", "is_usable"),
    [
        ("", True),
        ('{"a": 1, "a": 2}', True),
        ('{"a": NaN}', False),
        ('{"a": 1e999}', False),
        ('{"a": ' + "9" * 5000 + "}", False),
        ('{"a": "\\ud800"}', False),
        ("[" * 20_000, False),
        ("null", False),
    ],
    ids=["empty", "twice", "NaN", "infinite", "5000 digits", "half a character", "deep", "null"],
)
def test_odd_arguments_reach_the_client_as_written_or_go_to_the_strong_model(
    turns: TurnGateway, arguments: str, is_usable: bool, stream: bool
) -> None:
    turns.upstream.says(weak=calling(call("find", arguments)), strong=STRONG)
    message, _ = ask(turns, stream, model="trusting")
    assert called(message) == [("find", arguments) if is_usable else ("read", '{"page": 7}')]


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_in_a_turn_fails_no_request(turns: TurnGateway, stream: bool) -> None:
    """Some servers cut a text between the halves of a character, and some models never write the other half."""
    halves = [delta(content="I look \ud83d"), delta(content="\ude00. \ud83d"), delta("stop"), usage()]
    turns.upstream.says(weak=halves, strong=STRONG)
    message, _ = ask(turns, stream)
    assert message["content"].startswith("I look ")


def test_five_megabytes_of_arguments_come_in_time_that_is_linear(turns: TurnGateway) -> None:
    text = json.dumps({"a": "x" * 5_000_000})
    pieces = [delta(tool_calls=[call("find", "")])]
    pieces += [
        delta(tool_calls=[{"index": 0, "function": {"arguments": text[at : at + 500]}}])
        for at in range(0, len(text), 500)
    ]
    turns.upstream.says(weak=[*pieces, delta("tool_calls"), usage()])
    message, _ = ask(turns, model="trusting")
    assert called(message) == [("find", text)]


@pytest.mark.parametrize("name", ["find\n\nread", "find\0", "\u2028", "find\x1b[2J", "😀", "_", ""])
def test_a_tool_of_any_name_is_one_step(turns: TurnGateway, name: str) -> None:
    """A name that the request offers is its own affair; others are never sent."""
    turns.upstream.says(weak=calling(call(name, "{}")), strong=STRONG)
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]
    message, response = ask(turns, tools=tools)
    assert called(message) == [(name, "{}")]
    assert len(response.json()["steproute"]["steps"]) == 1
    assert turns.upstream.models == ["weak", "prm"]
    turns.upstream.says(weak=calling(call(name, "{}")), strong=STRONG)
    message, _ = ask(turns)
    assert called(message) == [("read", '{"page": 7}')]
    assert turns.upstream.models == ["weak", "prm", "strong"]


@pytest.mark.parametrize("text", ["👍", "…", "?"])
def test_a_turn_of_punctuation_is_a_turn(turns: TurnGateway, text: str) -> None:
    turns.upstream.says(weak=saying(text))
    message, response = ask(turns)
    assert message["content"] == text
    assert response.json()["steproute"]["outcome"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_reaches_the_client_as_one(turns: TurnGateway, stream: bool) -> None:
    refusing = [delta(role="assistant", content=None, refusal="I will not."), delta("stop"), usage()]
    turns.upstream.says(weak=refusing, strong=refusing)
    message, _ = ask(turns, stream)
    assert message["refusal"] == "I will not."


@pytest.mark.parametrize("stream", [False, True])
def test_two_models_that_say_nothing_give_an_empty_turn(turns: TurnGateway, stream: bool) -> None:
    nothing = [delta(role="assistant", content="", reasoning_content="Hm."), delta("stop"), usage()]
    turns.upstream.says(weak=nothing, strong=nothing)
    message, _response = ask(turns, stream)
    assert not message["content"]
    assert newest(turns) == [("weak", "discarded"), ("prm", "score"), ("strong", "accepted")]
