"""Turns of agents as text, and what makes one unusable."""

from typing import Any

import pytest

from steproute.core.splitting import split_steps
from steproute.core.turns import ToolRules, arguments_of, begin_of_turns, call_text, turn_text


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"b":1,"a":"ü"}', 'f({"a": "ü", "b": 1})'),
        ("", "f({})"),
        ('{"a": "x\\n\\ny"}', 'f({"a": "x\\n\\ny"})'),
        ('{"a":\n\n 1', 'f({"a": 1)'),
        ("[1]", "f([1])"),
    ],
)
def test_a_call_is_one_line_of_canonical_json(arguments: str, text: str) -> None:
    assert call_text(call("f", arguments)) == text


def test_equal_calls_read_the_same_however_they_were_written() -> None:
    assert call_text(call("f", '{"a":1,"b":[2]}')) == call_text(call("f", '{ "b": [2], "a": 1 }'))


def test_a_turn_is_one_step() -> None:
    message = {"role": "assistant", "content": "One.\n\n \nTwo.", "tool_calls": [call("f", "{}"), call("g", "")]}
    assert turn_text(message) == "One.\nTwo.\nf({})\ng({})"
    assert split_steps(turn_text(message), "\n\n") == [turn_text(message)]


def test_half_a_character_is_spelled_out() -> None:
    assert turn_text({"role": "assistant", "content": "\ud800"}) == "\\ud800"


@pytest.mark.parametrize("arguments", ['{"a": "\\ud800"}', "{", "null", "\ud800", '{"a": 1} x'])
def test_arguments_that_no_file_can_hold_or_no_parser_reads_are_none(arguments: str) -> None:
    assert arguments_of(call("f", arguments)) is None


@pytest.mark.parametrize(
    ("roles", "begin"),
    [
        (["user"], 1),
        (["system", "user", "assistant", "tool"], 2),
        (["system", "assistant", "user", "assistant"], 3),
        (["user", "user", "assistant", "user", "assistant"], 2),
    ],
)
def test_the_task_is_what_comes_before_the_first_answer(roles: list[str], begin: int) -> None:
    assert begin_of_turns([{"role": role, "content": "x"} for role in roles]) == begin


def test_a_named_choice_requires_its_tool() -> None:
    rules = ToolRules(names=frozenset("fg"), choice={"type": "function", "function": {"name": "f"}})
    assert rules.fault([call("f", "{}")]) == ""
    assert rules.fault([call("g", "{}")]) == "a call of g, and tool_choice requires f"
    assert rules.fault([]) == "no call, and tool_choice requires one"


@pytest.mark.parametrize("broken", [{}, {"function": None}, {"function": {"name": 3, "arguments": {}}}])
def test_a_call_without_a_name_is_a_fault(broken: dict[str, Any]) -> None:
    assert ToolRules(names=frozenset("f")).fault([broken]) == "there is no tool ''"


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": "f"},
        {"type": "function", "function": {"name": 5}},
        {"type": "allowed_tools", "allowed_tools": "f"},
        {"type": "allowed_tools", "allowed_tools": {"tools": 5}},
        ["f"],
        7,
        "some",
    ],
)
def test_a_choice_of_no_known_form_is_for_the_models_server(choice: object) -> None:
    rules = ToolRules(names=frozenset({"f"}), choice=choice)
    assert rules.fault([]) == ""


def test_allowed_tools_exclude_the_others() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}
    rules = ToolRules(names=frozenset({"f", "g", "h"}), choice=choice)
    assert rules.fault([call("g", "{}")]) == ""
    assert rules.fault([call("h", "{}")]) == "a call of h, and tool_choice requires f or g"
    assert rules.fault([]) == "no call, and tool_choice requires one"


@pytest.mark.parametrize("name", ["f\n\ng", "f\r\ng", "f\u2028g"])
def test_a_name_never_breaks_a_line(name: str) -> None:
    assert call_text(call(name, "{}")) == "f g({})"
