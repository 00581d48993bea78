"""A conversation reaches a server as it came: nothing is added, lost, reordered or spelled otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends.http.hostile import HostileServer
from tests.backends.test_anthropic_server import ask as ask_anthropic
from tests.backends.test_anthropic_server import good as anthropic
from tests.backends.test_openai_server import ask, good

from steproute.core.answer_rule import BOXED, NONE
from steproute.core.errors import BackendError, DatasetError
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.core.usage_bounds import most_read

PIXEL = "data:image/png;base64,iVBORw0KGgo="
TURNS: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "Answer in Welsh — no “quotes”."},
    {"role": "user", "content": "Bore da! \ud83d\ude00 Pwy wyt ti?".encode("utf-16", "surrogatepass").decode("utf-16")},
    {"role": "assistant", "content": "Fi yw'r model.", "name": "modryb"},
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            {"type": "text", "text": "Beth yw hwn?", "x-trace": {"b": 1, "a": [None, 0.10, True]}},
        ],
        "unknown_field": {"z": "kept", "a": "in order"},
    },
)
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
CHAT = Problem(id="chat", messages=TURNS, tools=(TOOL,), rule=NONE)
_GOES_ON = Continuation.CONTINUE_FINAL_MESSAGE
STEP = Step(role="weak", text="Llun.", tokens=2)


@pytest.mark.parametrize("mode", [Continuation.CONTINUE_FINAL_MESSAGE, Continuation.INSTRUCT])
def test_a_first_step_is_asked_by_the_conversation_byte_for_byte(mode: Continuation) -> None:
    server = good()
    _, body, _ = ask(server, Prefix(problem=CHAT), continuation=mode)
    sent = body["messages"][: len(TURNS)]
    if mode is Continuation.INSTRUCT:  # the wish for one step stands below the system's own words
        assert sent[0]["content"].startswith(TURNS[0]["content"])
        sent[0] = TURNS[0]
    assert json.dumps(sent) == json.dumps(TURNS)
    assert json.dumps(body["tools"]) == json.dumps([TOOL])


def test_a_later_step_goes_on_after_the_conversation() -> None:
    _, body, _ = ask(good(), Prefix(problem=CHAT, steps=(STEP,)), continuation=_GOES_ON)
    assert json.dumps(body["messages"]) == json.dumps([*TURNS, {"role": "assistant", "content": "Llun.\n\n"}])


def test_a_template_of_the_servers_gets_the_conversation_and_the_tools() -> None:
    server = HostileServer(lambda request: None)
    ask(server, Prefix(problem=CHAT))
    rendered = next(request.body for request in server.asked if request.path == "/tokenize")
    assert json.dumps(rendered["messages"]) == json.dumps(TURNS)
    assert rendered["tools"] == [TOOL]


def test_an_answer_rule_that_wants_an_answer_says_so_below_the_systems_own_words() -> None:
    boxed = Problem(id="chat", messages=TURNS, rule=BOXED)
    _, body, _ = ask(good(), Prefix(problem=boxed), continuation=_GOES_ON)
    assert body["messages"][0]["content"] == f"{TURNS[0]['content']}\n\n{BOXED.instructions}"
    assert json.dumps(body["messages"][1:]) == json.dumps(TURNS[1:])


def test_claude_gets_the_conversation_in_its_own_words() -> None:
    _, body, _ = ask_anthropic(anthropic(), Prefix(problem=CHAT), continuation=Continuation.PREFILL)
    assert [block["text"] for block in body["system"]] == [TURNS[0]["content"]]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    image, text = body["messages"][2]["content"]
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert text["text"] == "Beth yw hwn?"
    assert body["tools"] == [{"name": "add", "input_schema": {"type": "object", "properties": {}}}]


def test_a_base_model_refuses_more_than_a_question() -> None:
    with pytest.raises(BackendError, match="is a conversation, and without a chat template only a question fits"):
        ask(good(), Prefix(problem=CHAT), template="none")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ((), "asks nothing"),
        (({"role": "system", "content": "Be brief."},), "asks nothing"),
        (({"content": "Hi"},), r"messages\[0\]: .* has no role"),
        (({"role": "user", "content": " "},), r"messages\[0\]: content is ' '"),
        (({"role": "user", "content": []},), "content is"),
        (({"role": "user", "content": "Hi"}, {"role": "assistant"}), r"messages\[1\]: content is None"),
    ],
)
def test_a_conversation_that_asks_nothing_is_refused(messages: tuple[dict[str, Any], ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Problem(id="p", messages=messages)


def test_a_question_is_a_conversation_of_one_turn() -> None:
    problem = Problem.ask("How many?", answer="4")
    assert problem == Problem(
        id=problem.id, messages=({"role": "user", "content": "How many?"},), answer="4", tags={}, rule=BOXED
    )
    assert (problem.text, problem.canonical, problem.is_plain) == ("How many?", "How many?", True)
    assert problem.id == Problem.ask("How many?").id != Problem.ask("How many ?").id
    assert CHAT.text == "Beth yw hwn?"
    assert not CHAT.is_plain


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_TURN = st.builds(
    lambda role, content, more: {"role": role, "content": content, **more},
    st.sampled_from(["user", "assistant"]),
    _TEXT | st.lists(st.builds(lambda text: {"type": "text", "text": text}, _TEXT), min_size=1, max_size=3),
    st.dictionaries(_TEXT.filter(lambda name: name not in ("role", "content")), _VALUE, max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_TURN, min_size=1, max_size=4))
def test_whatever_fields_a_turn_has_arrive_unchanged(turns: list[dict[str, Any]]) -> None:
    problem = Problem(id="p", messages=tuple(turns), rule=NONE)
    _, body, _ = ask(good(), Prefix(problem=problem), continuation=_GOES_ON, instructions="")
    assert json.dumps(body["messages"]) == json.dumps(turns)


def test_an_image_has_room_in_what_a_call_can_cost() -> None:
    with_image = most_read(Prefix(problem=CHAT))
    without = most_read(Prefix(problem=Problem(id="chat", messages=TURNS[:3], rule=NONE)))
    assert with_image - without > 10_000
