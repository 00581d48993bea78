"""Fields of the chat API, and the gateway's other APIs, on a route that routes tools."""

import json
import sqlite3
from typing import Any

import pytest
from tests.backends.test_openai_chat import delta, usage
from tests.serve.test_turn_faults import ask, called, chunks
from tests.serve.turn_gateway import ASK, TOOLS, TurnGateway
from tests.serve.turning import call, calling, saying

FIND = calling(call("find", '{"a": 1}'))
READ = calling(call("read", '{"page": 7}'))
BOTH = calling(call("find", "{}"), call("read", "{}", 1))
NAMED = {"type": "function", "function": {"name": "read"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}
AUTHORS = {"weak": ["weak", "prm"], "strong": ["weak", "prm", "strong"]}


@pytest.mark.parametrize(
    ("weak", "fields", "author"),
    [
        (FIND, {"tool_choice": "auto"}, "weak"),
        (FIND, {"tool_choice": "required"}, "weak"),
        (FIND, {"tool_choice": NAMED}, "strong"),
        (saying("No."), {"tool_choice": NAMED}, "strong"),
        (READ, {"tool_choice": NAMED}, "weak"),
        (FIND, {"tool_choice": ALLOWED}, "strong"),
        (saying("No."), {"tool_choice": ALLOWED}, "weak"),
        (saying("No."), {"tool_choice": "none"}, "weak"),
        (BOTH, {"parallel_tool_calls": True}, "weak"),
        (BOTH, {"parallel_tool_calls": None}, "weak"),
        (FIND, {"parallel_tool_calls": False}, "weak"),
    ],
)
def test_choices_of_tools(turns: TurnGateway, weak: list[Any], fields: dict[str, Any], author: str) -> None:
    turns.upstream.says(weak=weak, strong=READ)
    _, response = ask(turns, **fields)
    assert turns.upstream.models == AUTHORS[author]
    assert response.json()["steproute"]["steps"][0]["role"] == author


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"type": "function", "function": "read"}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": []}},
        {"tool_choice": 5},
        {"parallel_tool_calls": "no"},
        {"stop": ["\n"]},
        {"logprobs": True, "top_logprobs": 2},
        {"response_format": {"type": "json_object"}},
        {"max_tokens": 1},
        {"max_completion_tokens": 7},
        {"messages": [{"role": "developer", "content": "Be brief."}, *ASK]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_reaches_each_model_as_it_came(turns: TurnGateway, fields: dict[str, Any]) -> None:
    turns.upstream.says(weak=calling(call("find", '{"a": "wrong"}')), strong=READ)
    message, _ = ask(turns, **fields)
    assert called(message) == [("read", '{"page": 7}')]
    for asked in (turns.upstream.asked[0], turns.upstream.asked[2]):
        assert asked.body.items() >= fields.items()


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_of_a_turn_are_its_authors(turns: TurnGateway, stream: bool) -> None:
    pieces = [delta(content=text) for text in ("It ", "is.")]
    for piece, text in zip(pieces, ("It ", "is."), strict=True):
        piece["choices"][0]["logprobs"] = {"content": [{"token": text, "logprob": -0.1}], "refusal": None}
    turns.upstream.says(weak=[*pieces, delta("stop"), usage()])
    _, response = ask(turns, stream, logprobs=True)
    choices = [choice for chunk in chunks(response) for choice in chunk["choices"]] if stream else response.json()["choices"]
    tokens = [each["token"] for choice in choices for each in (choice["logprobs"] or {}).get("content") or ()]
    assert tokens == ["It ", "is."]


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_its_limit_cuts_off_says_so(turns: TurnGateway, stream: bool) -> None:
    turns.upstream.says(weak=[delta(content="I"), delta("length"), usage(prompt_tokens=5, completion_tokens=1)])
    message, response = ask(turns, stream, max_tokens=1)
    choices = [choice for chunk in chunks(response) for choice in chunk["choices"]] if stream else response.json()["choices"]
    assert message["content"] == "I"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]


def test_usage_is_in_the_last_chunk_of_a_stream_alone(turns: TurnGateway) -> None:
    turns.upstream.says(weak=FIND)
    _, response = ask(turns, True, stream_options={"include_usage": True})
    *others, last = chunks(response)
    assert last["usage"]["completion_tokens"] == 9
    assert {chunk["usage"] for chunk in others} == {None}


def test_an_image_passes_through_and_its_account_is_the_passthrough_models(turns: TurnGateway) -> None:
    turns.upstream.says(weak=FIND, strong=READ)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    ask(turns, messages=[{"role": "user", "content": [image]}])
    assert turns.upstream.models == ["strong"]


def test_all_apis_have_the_same_account(turns: TurnGateway) -> None:
    functions = [each["function"] for each in TOOLS]
    responses = {"input": "Look it up.", "tools": [{"type": "function", **each} for each in functions], "store": False}
    tools = [{"name": each["name"], "input_schema": each["parameters"]} for each in functions]
    bodies: dict[str, dict[str, Any]] = {
        "chat/completions": {"messages": ASK, "tools": TOOLS},
        "responses": responses,
        "messages": {"messages": ASK, "tools": tools},
    }
    accounts = []
    for path, fields in bodies.items():
        limit = {"responses": "max_output_tokens"}.get(path, "max_tokens")
        for stream in (False, True):
            turns.upstream.says(weak=calling(call("find", '{"a": "wrong"}')), strong=READ)
            with turns.http_now() as http:
                response = http.post(path, json={"model": "agent", **fields, limit: 50, "stream": stream})
            assert response.status_code == 200, response.text
            assert "wrong" not in response.text
            accounts.append(account(turns, response.headers["x-steproute-trace-id"]))
    assert accounts == [accounts[0]] * 6
    assert [line[:2] for line in accounts[0]] == [("weak", "discarded"), ("prm", "score"), ("strong", "accepted")]


@pytest.mark.parametrize("path", ["responses", "messages"])
def test_interleaved_calls_are_whole_in_every_api(turns: TurnGateway, path: str) -> None:
    pieces = [(0, "{"), (1, '{"b"'), (0, '"a": 1}'), (1, ": 2}")]
    begun = [delta(tool_calls=[call(name, "", index)]) for index, name in enumerate(("find", "read"))]
    further = [delta(tool_calls=[{"index": index, "function": {"arguments": text}}]) for index, text in pieces]
    turns.upstream.says(weak=[*begun, *further, delta("tool_calls"), usage()])
    functions = [each["function"] for each in TOOLS]
    fields: dict[str, Any] = {"model": "agent", "stream": True}
    if path == "responses":
        fields |= {"input": "Go.", "tools": [{"type": "function", **each} for each in functions], "store": False}
    else:
        tools = [{"name": each["name"], "input_schema": each["parameters"]} for each in functions]
        fields |= {"messages": ASK, "tools": tools, "max_tokens": 50}
    with turns.http_now() as http:
        response = http.post(path, json=fields)
    begun_items = [each for each in chunks(response) if each["type"] in _BEGINS]
    names = [(each.get("item") or each.get("content_block"))["name"] for each in begun_items]
    texts = ["", ""]
    for each in chunks(response):
        text = each.get("delta", {}).get("partial_json") if path == "messages" else each.get("delta")
        if each["type"] in _GOES_ON:
            texts[each["index"] if path == "messages" else each["output_index"]] += text
    assert (names, list(map(json.loads, texts))) == (["find", "read"], [{"a": 1}, {"b": 2}])


_BEGINS = {"response.output_item.added", "content_block_start"}
_GOES_ON = {"response.function_call_arguments.delta", "content_block_delta"}


def account(turns: TurnGateway, id: str) -> list[tuple[Any, ...]]:
    query = (
        "SELECT role, purpose, lines.input_tokens, lines.cache_read_tokens, lines.output_tokens, lines.cost_usd, "
        "asked_usd, asked_tokens FROM lines JOIN requests ON requests.id = request_id WHERE request_id = ? "
        "ORDER BY number"
    )
    with sqlite3.connect(turns.gateway.database) as database:
        return database.execute(query, [id]).fetchall()


def test_simulate_knows_the_price_of_earlier_answers(turns: TurnGateway) -> None:
    turns.upstream.says(weak=FIND)
    for _ in range(20):
        response = turns.ask("other")
    expected = turns.ask("other", "simulate").json()["expected_cost"]
    cost = float(response.json()["steproute"]["cost_usd"])
    assert expected["expected_usd"] == pytest.approx(cost)
    assert expected["source"].startswith("your newest 2")


def test_simulate_calls_no_model_and_says_what_would_be_reserved(turns: TurnGateway) -> None:
    turns.upstream.says(weak=FIND)
    simulated = turns.ask(path="simulate", max_tokens=50)
    assert simulated.status_code == 200, simulated.text
    answer = simulated.json()
    assert turns.upstream.asked == []
    assert (answer["choice"], answer["answered_by"]) == ("turns", "stepwise/threshold=0.5")
    _, response = ask(turns, max_tokens=50)
    with sqlite3.connect(turns.gateway.database) as database:
        (usd,) = database.execute("SELECT asked_usd FROM requests WHERE id = ?", [response.json()["id"]]).fetchone()
    assert abs(usd - float(answer["reserves_usd"]) * 10**12) < 10**6  # the same messages, and another id
    assert turns.ask(path="simulate", n=2).status_code == 400
    assert json.loads(turns.ask(path="simulate", steproute={"max_cost_usd": 1e-6}).text)["error"]["param"] == "messages"
