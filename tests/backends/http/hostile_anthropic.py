"""The hostile server with Anthropic's Messages API, as strict about requests as that is.

It estimates nothing: what it read comes with the first event, what it wrote with the last but one.
"""

import asyncio
from typing import Any

from tests.backends.http.hostile import Asked, Fault, HostileServer


class HostileAnthropic(HostileServer):
    """`prefills`: whether its model goes on with a half-written answer; `thoughts` come before each answer."""

    prefills = True
    thoughts = ""

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        assert request.path == "/v1/messages"
        if message := self._refusal(request):
            error = {"type": "invalid_request_error", "message": message}
            return await self._send(writer, 400, {"type": "error", "error": error})
        return await super()._stream(request, writer, reader)

    def _refusal(self, request: Asked) -> str:
        body, last = request.body, request.body["messages"][-1]
        blocks = [*body.get("system", []), *(block for each in body["messages"] for block in each["content"])]
        if any(not block["text"].strip() for block in blocks if block["type"] == "text"):
            return "messages: text content blocks must contain non-whitespace text"
        if len([block for block in blocks if "cache_control" in block]) > 4:
            return "A maximum of 4 blocks with cache_control may be provided."
        if "anthropic-version: 2026-10-21" in request.head and {"temperature", "top_p", "top_k"} & body.keys():
            return "temperature: Extra inputs are not permitted"
        if last["role"] != "assistant":
            return ""
        if not self.prefills:
            return (
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        ends = last["content"][-1]["text"]
        return "" if ends == ends.rstrip() else "messages: final assistant content cannot end with trailing whitespace"

    def _said(self, body: dict[str, Any]) -> str:
        turns = [*([{"content": body["system"]}] if "system" in body else []), *body["messages"]]
        return "\n".join("".join(block.get("text", "") for block in turn["content"]) for turn in turns)

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        begun: list[str | None] = [] if one_step or "Step" not in said else ["\n\n"]
        return begun + super()._pieces(said, stops, one_step)

    def _opening(self, request: Asked) -> list[bytes]:
        usage = {"input_tokens": request.prompt_tokens, "output_tokens": 1, "cache_read_input_tokens": 0}
        if request.fault is Fault.WRONG_COUNTS:
            usage["input_tokens"] = -3
        return [
            self._named("message_start", message={"id": "x", "role": "assistant", "content": [], "usage": usage}),
            self._named("ping"),
            *(self._thinking(request) if self.thoughts else []),
            self._named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ]

    def _thinking(self, request: Asked) -> list[bytes]:
        request.generated += len(self.thoughts.split())
        delta = {"type": "thinking_delta", "thinking": self.thoughts}
        return [
            self._named("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
            self._named("content_block_delta", index=0, delta=delta),
            self._named("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "abc"}),
            self._named("content_block_stop", index=0),
        ]

    def _event(self, request: Asked, piece: str, **ending: str | None) -> bytes:
        return self._named("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    def _ending(self, request: Asked, reason: str, stopped_at: str | None) -> list[bytes]:
        told = {"length": "max_tokens", "stop": "end_turn"}.get(reason, reason)
        details = {"thinking_tokens": len(self.thoughts.split())}
        usage: dict[str, Any] = {"output_tokens": request.generated, "output_tokens_details": details}
        if request.fault is Fault.WRONG_COUNTS:
            usage = {"output_tokens": 10**9}
        if not self.reports_usage:
            usage = {}
        return [
            self._named("content_block_stop", index=0),
            self._named("message_delta", delta={"stop_reason": told, "stop_sequence": None}, usage=usage),
            self._named("message_stop"),
        ]

    def _named(self, name: str, **fields: object) -> bytes:
        return b"event: " + name.encode() + b"\n" + self._data({"type": name, **fields})
