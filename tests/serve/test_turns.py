"""What becomes of an agent's turn: accepted, written again, malformed, failed, cancelled, too expensive."""

import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion
from tests.backends.http.hostile import Fault
from tests.paid_servers import served
from tests.serve.running import RunningGateway, gateway
from tests.serve.turning import CONFIG, PRM_TOKENS, TURN_TOKENS, Turning, call, calling, saying

ASK: list[Any] = [{"role": "user", "content": "Look it up."}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("find", "read")
]
GOOD = calling(call("find", '{"b": 1, "a": "ä"}'), text="I look.")
WRONG = calling(call("find", '{"a": "wrong"}'))
STRONG = calling(call("read", '{"page": 7}'), text="I read.")


@pytest.fixture(scope="module")
def upstream() -> Turning:
    return Turning()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Turning) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("turns")
    with served(upstream) as url:
        (folder / "steproute.toml").write_text(CONFIG.format(url=url))
        with gateway(folder, "--config", str(folder / "steproute.toml")) as started:
            yield started


def ask(running: RunningGateway, model: str = "agent", messages: list[Any] = ASK, **fields: Any) -> ChatCompletion:
    client = running.client(max_retries=0)
    reply: ChatCompletion = client.chat.completions.create(model=model, messages=messages, tools=TOOLS, **fields)
    return reply


def calls(reply: ChatCompletion) -> list[tuple[str, str, str]]:
    return [
        (each.id, each.function.name, each.function.arguments) for each in reply.choices[0].message.tool_calls or ()
    ]  # type: ignore[union-attr]


def facts(reply: ChatCompletion) -> dict[str, Any]:
    extension: dict[str, Any] = (reply.model_extra or {})["steproute"]
    return extension


def lines(running: RunningGateway, request_id: str) -> list[tuple[Any, ...]]:
    query = "SELECT role, purpose, input_tokens + cache_read_tokens, output_tokens FROM lines WHERE request_id = ?"
    return sqlite3.connect(running.database).execute(f"{query} ORDER BY number", [request_id]).fetchall()


def test_a_turn_that_scores_well_comes_back_as_the_weak_model_wrote_it(
    running: RunningGateway, upstream: Turning
) -> None:
    upstream.says(weak=GOOD)
    reply = ask(running)
    assert upstream.models == ["weak", "prm"]
    assert calls(reply) == [("find-0", "find", '{"b": 1, "a": "ä"}')]
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("I look.", "tool_calls")
    assert facts(reply)["steps"] == [{"role": "weak", "score": 0.9, "tokens": TURN_TOKENS[1]}]
    assert facts(reply)["turn"] == 1
    assert upstream.asked[0].body["tools"] == TOOLS
    assert 'I look.\nfind({"a": "ä", "b": 1})<extra_0>' in upstream.asked[1].body["input"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_scores_badly_is_never_sent(running: RunningGateway, upstream: Turning, stream: bool) -> None:
    upstream.says(weak=WRONG, strong=STRONG)
    fields = {"stream_options": {"include_usage": True}} if stream else {}
    reply: Any = ask(running, stream=stream, **fields)
    chunks = list(reply) if stream else [reply]
    assert "wrong" not in "".join(chunk.model_dump_json() for chunk in chunks)
    assert lines(running, chunks[0].id) == [
        ("weak", "discarded", *TURN_TOKENS),
        ("prm", "score", PRM_TOKENS, 0),
        ("strong", "accepted", *TURN_TOKENS),
    ]
    used = chunks[-1].usage
    assert (used.prompt_tokens, used.completion_tokens) == (2 * TURN_TOKENS[0] + PRM_TOKENS, 2 * TURN_TOKENS[1])
    assert used.completion_tokens_details.rejected_prediction_tokens == TURN_TOKENS[1]


def test_a_streamed_turn_has_the_pieces_of_its_author(running: RunningGateway, upstream: Turning) -> None:
    upstream.says(weak=calling(call("find", "{}"), call("read", '{"page": 1}', index=1)))
    chunks: Any = list(ask(running, stream=True))  # type: ignore[call-overload]
    pieces = [each for chunk in chunks for choice in chunk.choices for each in choice.delta.tool_calls or ()]
    assert [(each.index, each.id, each.function.name, each.function.arguments) for each in pieces] == [
        (0, "find-0", "find", "{}"),
        (1, "read-1", "read", '{"page": 1}'),
    ]
    assert [reason for chunk in chunks for each in chunk.choices if (reason := each.finish_reason)] == ["tool_calls"]


@pytest.mark.parametrize(
    ("turn", "fields", "fault"),
    [
        (calling(call("find", '{"a": ')), {}, "the arguments of find are no JSON object"),
        (calling(call("delete", "{}")), {}, "there is no tool 'delete'"),
        (saying("No."), {"tool_choice": "required"}, "no call, and tool_choice requires one"),
        (GOOD, {"tool_choice": "none"}, "a call, and tool_choice is 'none'"),
        (calling(call("find", "{}"), call("read", "{}", 1)), {"parallel_tool_calls": False}, "2 calls, and parallel"),
        (saying(""), {}, "it is empty"),
    ],
    ids=["no JSON", "no such tool", "no call", "a call", "several calls", "nothing"],
)
def test_a_turn_that_no_client_can_act_on_is_written_again(
    running: RunningGateway, upstream: Turning, turn: list[Any], fields: dict[str, Any], fault: str
) -> None:
    """Even by a policy that accepts everything."""
    upstream.says(weak=turn, strong=STRONG)
    reply = ask(running, "trusting", **fields)
    assert upstream.models == ["weak", "strong"]
    assert calls(reply) == [("read-0", "read", '{"page": 7}')]
    kept = running.get(f"/v1/traces/{reply.id}").json()["trace"]
    assert kept["steps"][0]["rejected"] is not None
    assert f"weak: {fault}" in kept["notes"][0]


def test_a_strong_model_that_fails_fails_the_request_unless_the_route_says_otherwise(
    running: RunningGateway, upstream: Turning
) -> None:
    """As for steps of text: what the weak model wrote is billed, and sent only under on_strong_failure = accept."""
    upstream.says(weak=WRONG)
    upstream.faults = {"strong": Fault.SERVER_ERROR}
    with pytest.raises(openai.InternalServerError) as failure:
        ask(running)
    assert failure.value.status_code == 502
    newest = sqlite3.connect(running.database).execute("SELECT request_id FROM lines ORDER BY rowid DESC LIMIT 1")
    assert [line[:2] for line in lines(running, newest.fetchone()[0])] == [("weak", "discarded"), ("prm", "score")]
    reply = ask(running, "lenient")
    assert calls(reply) == [("find-0", "find", '{"a": "wrong"}')]
    assert [line[:2] for line in lines(running, reply.id)] == [("weak", "accepted"), ("prm", "score")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_the_call_which_is_billed(
    running: RunningGateway, upstream: Turning, stream: bool
) -> None:
    upstream.says(weak=WRONG, strong=STRONG)
    upstream.slow = "strong"
    body = {"model": "agent", "messages": ASK, "tools": TOOLS, "stream": stream}
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    until = time.monotonic() + 30
    while time.monotonic() < until and len(upstream.asked) < 3:
        time.sleep(0.02)
    connection.close()
    while time.monotonic() < until and not upstream.asked[-1].closed_by_client:
        time.sleep(0.02)
    assert upstream.models == ["weak", "prm", "strong"]
    query = "SELECT id FROM requests WHERE state = 'closed' ORDER BY created_ms DESC LIMIT 1"
    newest: list[tuple[Any, ...]] = []
    while time.monotonic() < until and len(newest) < 3:
        newest = lines(running, sqlite3.connect(running.database).execute(query).fetchone()[0])
        time.sleep(0.02)
    assert [line[:2] for line in newest] == [("weak", "discarded"), ("prm", "score"), ("strong", "cancelled")]


def test_several_replies_are_refused_by_name(running: RunningGateway, upstream: Turning) -> None:
    upstream.says(weak=GOOD)
    with pytest.raises(openai.BadRequestError) as failure:
        ask(running, n=2)
    assert failure.value.param == "n"
    assert upstream.asked == []


def test_a_request_reserves_what_both_models_may_use_and_its_tokens_fit_its_budget(
    running: RunningGateway, upstream: Turning
) -> None:
    upstream.says(weak=WRONG, strong=STRONG)
    reply = ask(running, max_tokens=100)
    query = "SELECT asked_usd, asked_tokens FROM requests WHERE id = ?"
    usd, tokens = sqlite3.connect(running.database).execute(query, [reply.id]).fetchone()
    assert tokens == 200
    assert usd > 100 * (0.4 + 8) * 10**6  # what both may write; reading and scoring come to that
    assert [each.body.get("max_tokens", each.body.get("max_completion_tokens")) for each in upstream.asked] == [
        100,
        None,
        100,
    ]
    upstream.says(weak=WRONG, strong=STRONG)
    reply = ask(running, extra_body={"steproute": {"max_cost_usd": 0.006}})
    usd, tokens = sqlite3.connect(running.database).execute(query, [reply.id]).fetchone()
    assert usd <= 6 * 10**9
    limit = upstream.asked[-1].body["max_tokens"]
    assert 0 < limit < 0.006 * 1e6 / 8
    assert tokens == 2 * limit
    assert Decimal(facts(reply)["cost_usd"]) <= Decimal("0.006")


def test_a_budget_that_does_not_pay_for_both_models_is_refused_before_anything_is_sent(
    running: RunningGateway, upstream: Turning
) -> None:
    upstream.says(weak=WRONG, strong=STRONG)
    with pytest.raises(openai.BadRequestError, match="raise max_cost_usd") as failure:
        ask(running, extra_body={"steproute": {"max_cost_usd": 0.0001}})
    assert failure.value.param == "messages"
    assert upstream.asked == []


def test_earlier_turns_are_steps_of_the_solution(running: RunningGateway, upstream: Turning) -> None:
    """The scorer reads each with the answer of its tool, and the answers of the user."""
    upstream.says(weak=GOOD)
    first = ask(running)
    turn = first.choices[0].message.model_dump(exclude_none=True)
    messages = [*ASK, turn, {"role": "tool", "tool_call_id": "find-0", "content": "It is 5."}]
    messages += [{"role": "assistant", "content": "Five."}, {"role": "user", "content": "Are you sure?"}]
    reply = ask(running, messages=messages)
    assert facts(reply)["turn"] == 3
    scored = upstream.asked[-1].body["input"].partition("assistant\n")[2].split("<extra_0>")
    find = 'I look.\nfind({"a": "ä", "b": 1})'
    assert scored[:3] == [f"{find}\n\nIt is 5.", "Five.\n\nAre you sure?", find]
    assert len(facts(reply)["steps"]) == 1


def test_a_judge_of_single_steps_is_asked_once_about_each_turn(running: RunningGateway, upstream: Turning) -> None:
    upstream.says(weak=GOOD, judge=saying("8"))
    messages = [*ASK]
    for number in range(1, 4):
        reply = ask(running, "judged", messages=messages)
        assert facts(reply)["steps"][0]["score"] == pytest.approx(8 / 9)
        assert upstream.models == ["weak", "judge"] * number
        turn = reply.choices[0].message.model_dump(exclude_none=True)
        messages += [turn, {"role": "tool", "tool_call_id": "find-0", "content": f"It is {number}."}]
    assert upstream.asked[-1].body["messages"][0]["content"].count("<step>") == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_the_deadline_cuts_off_is_empty(running: RunningGateway, upstream: Turning, stream: bool) -> None:
    """A draft that nobody has accepted is not sent, and it is billed."""
    upstream.says(weak=GOOD)
    upstream.slow = "weak"
    reply: Any = ask(running, stream=stream, extra_body={"steproute": {"deadline_s": 1.5}})
    chunks = list(reply) if stream else [reply]
    assert [reason for chunk in chunks for each in chunk.choices if (reason := each.finish_reason)] == ["length"]
    assert "find" not in "".join(chunk.model_dump_json() for chunk in chunks)
    assert [line[:2] for line in lines(running, chunks[0].id)] == [("weak", "cancelled")]


def test_what_is_no_agents_turn_goes_its_usual_way(running: RunningGateway, upstream: Turning) -> None:
    """Images pass through, text goes in steps, and a route without the setting passes tools through."""
    upstream.says(weak=saying("[complete]"), strong=STRONG)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    ask(running, messages=[{"role": "user", "content": [{"type": "text", "text": "Look."}, image]}])
    ask(running, "whole")
    assert upstream.models == ["strong", "strong"]


def test_simulate_says_who_would_answer_and_what_is_reserved(running: RunningGateway) -> None:
    body = {"model": "agent", "messages": ASK, "tools": TOOLS}
    answer = httpx2.post(f"{running.url}/v1/simulate", json=body).json()
    assert answer["choice"] == "turns"
    assert Decimal(answer["reserves_usd"]) > 0
    assert 0 < answer["expected_cost"]["low_usd"] <= answer["expected_cost"]["high_usd"]


def test_a_field_that_a_models_server_refuses_is_the_clients(running: RunningGateway, upstream: Turning) -> None:
    upstream.says(weak=GOOD)
    upstream.refusals.append({"error": {"message": "Unsupported parameter: 'temperature' is not supported."}})
    with pytest.raises(openai.BadRequestError) as failure:
        ask(running, temperature=0.5)
    assert failure.value.param == "temperature"
    assert upstream.url not in str(failure.value)


def test_the_responses_api_gets_routed_turns(running: RunningGateway, upstream: Turning) -> None:
    upstream.says(weak=WRONG, strong=STRONG)
    tools: Any = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("find", "read")]
    reply = running.client().responses.create(model="agent", input="Look it up.", tools=tools, store=False)
    (item,) = [each for each in reply.output if each.type == "function_call"]
    assert (item.name, json.loads(item.arguments)) == ("read", {"page": 7})
