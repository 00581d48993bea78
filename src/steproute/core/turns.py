"""The turns of an agent's conversation as text: what scorers and policies read of calls of tools and their results."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from steproute.core.problem import SYSTEM_ROLES, Message, texts_of
from steproute.core.writable import writable

Call = Mapping[str, Any]
"""A call of a tool as an assistant's message has it: `function` with `name` and `arguments`, the arguments as JSON."""


def call_text(call: Call) -> str:
    """A call in one line, `name({"argument": value})`, its arguments by name; as they came if they are no object."""
    name, arguments = _parts(call)
    values = arguments_of(call)
    written = _line(arguments) if values is None else json.dumps(values, ensure_ascii=False, sort_keys=True)
    return f"{_line(name)}({written})"


def arguments_of(call: Call) -> dict[str, Any] | None:
    """The arguments of a call, none for an empty text; None if they are no JSON object."""
    try:
        return msgspec.json.decode(_parts(call)[1] or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def turn_text(message: Message) -> str:
    """A turn: its text without blank lines, which would end a step, then one line for each call."""
    lines = [line.rstrip() for text in texts_of(message) for line in text.splitlines()]
    calls = [call_text(call) for call in message.get("tool_calls") or ()]
    return writable("\n".join([*filter(None, lines), *calls]))


def begin_of_turns(messages: Sequence[Message]) -> int:
    """The place of the first assistant's turn that answers something; what is before it is the task."""
    is_asked = False
    for place, message in enumerate(messages):
        if message["role"] == "assistant" and is_asked:
            return place
        is_asked |= message["role"] not in SYSTEM_ROLES
    return len(messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """What calls a request allows: the tools' names, its `tool_choice`, and whether one turn may have several."""

    names: frozenset[str] = frozenset()
    choice: Any = None
    parallel: bool = True

    def fault(self, calls: Sequence[Call]) -> str:
        """What makes a turn with these calls unusable; empty if nothing does."""
        return next(self._faults(calls), "")

    def _faults(self, calls: Sequence[Call]) -> Iterator[str]:
        for name, _ in map(_parts, calls):
            if name not in self.names:
                yield f"there is no tool {name!r:.80}"
        for call in calls:
            if arguments_of(call) is None:
                yield f"the arguments of {_parts(call)[0]} are no JSON object: {_parts(call)[1]!r:.80}"
        yield from self._chosen([_parts(call)[0] for call in calls])
        if len(calls) > 1 and not self.parallel:
            yield f"{len(calls)} calls, and parallel_tool_calls is false"

    def _chosen(self, names: Sequence[str]) -> Iterator[str]:
        allowed, is_required = _allowed(self.choice)
        if names and self.choice == "none":
            yield "a call, and tool_choice is 'none'"
        if not names and is_required:
            yield "no call, and tool_choice requires one"
        for name in names:
            if allowed is not None and name not in allowed:
                yield f"a call of {name}, and tool_choice requires {' or '.join(allowed)}"


def _allowed(choice: object) -> tuple[list[str] | None, bool]:
    """The tools that a `tool_choice` allows, None for all of them, and whether it requires a call.

    What it says beyond OpenAI's forms is for the model's server to judge.
    """
    if not isinstance(choice, Mapping):
        return None, choice == "required"
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools")
        allowed = allowed if isinstance(allowed, Mapping) else {}
        tools = allowed.get("tools")
        names = [name for tool in (tools if isinstance(tools, list) else ()) if (name := _name(tool))]
        return names, allowed.get("mode") == "required"
    name = _name(choice)
    return ([name], True) if name else (None, False)


def _name(tool: object) -> str:
    """The name of a function that a request describes; empty if it describes none."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else ""


def _parts(call: Call) -> tuple[str, str]:
    """Name and arguments of a call."""
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    return name if isinstance(name, str) else "", arguments if isinstance(arguments, str) else ""
