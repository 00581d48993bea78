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
    written = arguments if values is None else json.dumps(values, ensure_ascii=False, sort_keys=True)
    return f"{name}({' '.join(written.split()) if values is None else written})"


def arguments_of(call: Call) -> dict[str, Any] | None:
    """The arguments of a call, none for an empty text; None if they are no JSON object."""
    try:
        return msgspec.json.decode(_parts(call)[1] or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


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
        named = (self.choice.get("function") or {}).get("name") if isinstance(self.choice, Mapping) else None
        if names and self.choice == "none":
            yield "a call, and tool_choice is 'none'"
        if not names and (self.choice == "required" or named is not None):
            yield "no call, and tool_choice requires one"
        if named is not None and any(name != named for name in names):
            yield f"a call of {next(name for name in names if name != named)}, and tool_choice requires {named}"


def _parts(call: Call) -> tuple[str, str]:
    """Name and arguments of a call."""
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    return name if isinstance(name, str) else "", arguments if isinstance(arguments, str) else ""
