"""Calls of tools: as they arrive in pieces, and whole."""

from collections.abc import Iterable
from typing import Any

from steproute.core.chat import ToolCallDelta


class ToolCalls:
    """The calls of one reply, in their order, in time linear in their text."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}

    def take(self, deltas: Iterable[ToolCallDelta]) -> None:
        """Further pieces."""
        for delta in deltas:
            call = self._calls.setdefault(delta.index, {"id": "", "type": "function", "function": {"name": ""}})
            call.update(delta.fields)
            call["id"] = call["id"] or delta.id
            call["function"]["name"] = call["function"]["name"] or delta.name
            self._arguments.setdefault(delta.index, []).append(delta.arguments)

    @property
    def whole(self) -> list[dict[str, Any]]:
        """All calls so far, as a message has them."""
        return [self._whole(index) for index in sorted(self._calls)]

    def _whole(self, index: int) -> dict[str, Any]:
        call = self._calls[index]
        return {**call, "function": {**call["function"], "arguments": "".join(self._arguments[index])}}


def piece(delta: ToolCallDelta) -> dict[str, Any]:
    """A piece as a chunk has it."""
    function: dict[str, Any] = {"arguments": delta.arguments}
    call: dict[str, Any] = {"index": delta.index, **delta.fields, "function": function}
    if delta.id:
        call |= {"id": delta.id, "type": "function"}
    if delta.name:
        function["name"] = delta.name
    return call
