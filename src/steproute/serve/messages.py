"""`POST /v1/messages`: the API of Anthropic's clients."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.body import read_object
from steproute.serve.chat import replied
from steproute.serve.errors import ApiError
from steproute.serve.face import Json, SseEvent, chat_of, sse, step_of, summary_of
from steproute.serve.messages_request import NAMES, read_messages_request

PATH: Final = "/v1/messages"
_STOP_REASONS: Final = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ERROR_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


async def messages(request: Request) -> Response:
    """Answer a conversation."""
    asked, chat_fields = read_messages_request(read_object(await request.body()))
    return await replied(request, chat_of(chat_fields, NAMES), MessagesFace(asked.model))


def error_body(failure: ApiError) -> dict[str, Any]:
    """An error as Anthropic's clients read it."""
    kind = _ERROR_TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}, "request_id": None}


class MessagesFace:
    """A message and the events that build it."""

    names: Mapping[str, str] = NAMES

    def __init__(self, model: str) -> None:
        self._model, self._id = model, ""
        self._blocks: list[dict[str, Any]] = []
        self._is_open = self._failed = False
        self._finish, self._index = "stop", 0
        self._pieces: list[str] = []
        self._usage: Json | None = None
        self._steproute: Json | None = None
        self._step: Json = {}

    def whole(self, completion: Json) -> Json:
        """The message at its end."""
        choices = [{"delta": each["message"], "finish_reason": each["finish_reason"]} for each in completion["choices"]]
        for _ in (*self.events({**completion, "choices": choices}), *self.end()):
            pass
        return {**self._message(_usage(self._usage)), "stop_reason": self._stop_reason, **self._extension}

    def events(self, chunk: Json) -> Iterator[SseEvent]:
        """What a piece of the answer adds."""
        if "error" in chunk:
            self._failed = True
            yield _event("error", error={"type": "api_error", "message": chunk["error"]["message"]})
            return
        if not self._id:
            self._id = chunk["id"].replace("chatcmpl-", "msg_")
            yield _event("message_start", message=self._message(_usage(None)))
        self._usage = chunk.get("usage") or self._usage
        self._steproute, self._step = summary_of(chunk) or self._steproute, step_of(chunk)
        for choice in chunk["choices"]:
            yield from self._delta(choice["delta"])
            self._finish = choice["finish_reason"] or self._finish

    def end(self) -> Iterator[SseEvent]:
        """Why it ended, and what it used."""
        if self._failed:
            return
        yield from self._close()
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage=_usage(self._usage), **self._extension)
        yield _event("message_stop")

    def _delta(self, delta: Json) -> Iterator[SseEvent]:
        whole = delta.get("thinking_blocks") or ()
        if (text := delta.get("reasoning_content")) and not whole:
            yield from self._text("thinking", text, signature="")
        for block in whole:
            yield from self._thinking(block)
        for name in ("content", "refusal"):
            if text := delta.get(name):
                yield from self._text("text", text)
        for number, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._call(call, call.get("index", number))

    def _text(self, kind: str, text: str, **fields: str) -> Iterator[SseEvent]:
        if not self._is_open or self._blocks[-1]["type"] != kind:
            yield from self._open(**{"type": kind, kind: "", **fields})
        self._pieces.append(text)
        yield self._of_block("content_block_delta", delta={"type": f"{kind}_delta", kind: text}, **self._step)

    def _thinking(self, block: Json) -> Iterator[SseEvent]:
        """A block of Claude's: its signature if its text has been shown, else all of it."""
        if self._is_open and self._blocks[-1]["type"] == "thinking" == block["type"]:
            self._blocks[-1]["signature"] = signature = block.get("signature") or ""
            yield self._of_block("content_block_delta", delta={"type": "signature_delta", "signature": signature})
        else:
            yield from self._open(**block)
        yield from self._close()

    def _call(self, call: Json, index: int) -> Iterator[SseEvent]:
        function = call.get("function") or {}
        if not self._is_open or self._blocks[-1]["type"] != "tool_use" or index != self._index:
            call_id, name = call.get("id") or "", function.get("name") or ""
            yield from self._open(type="tool_use", id=call_id, name=name, input={})
            self._index = index
        if text := function.get("arguments"):
            self._pieces.append(text)
            yield self._of_block("content_block_delta", delta={"type": "input_json_delta", "partial_json": text})

    def _open(self, **block: Any) -> Iterator[SseEvent]:
        yield from self._close()
        self._blocks.append(block)
        self._is_open = True
        yield self._of_block("content_block_start", content_block=dict(block))

    def _close(self) -> Iterator[SseEvent]:
        if not self._is_open:
            return
        self._is_open = False
        block, text = self._blocks[-1], "".join(self._pieces)
        self._pieces.clear()
        if block["type"] == "tool_use":
            block["input"] = _json(text)
        elif text:
            block[block["type"]] += text
        yield self._of_block("content_block_stop")

    def _of_block(self, kind: str, **fields: Any) -> SseEvent:
        return _event(kind, index=len(self._blocks) - 1, **fields)

    @property
    def _stop_reason(self) -> str:
        return _STOP_REASONS.get(self._finish, "end_turn")

    @property
    def _extension(self) -> dict[str, Any]:
        return {"steproute": self._steproute} if self._steproute else {}

    def _message(self, usage: Json) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": list(self._blocks),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }


def _event(kind: str, **fields: Any) -> SseEvent:
    return sse({"type": kind, **fields}, kind)


def _json(arguments: str) -> Any:
    """The arguments of a call; what a model wrote that is no JSON stays a text under its own name."""
    try:
        return msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return {"arguments": arguments}


def _usage(usage: Json | None) -> dict[str, Any]:
    """Cached tokens are counted apart here. Before the end it is not known."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    details = usage["prompt_tokens_details"]
    cached, written = details["cached_tokens"], details["cache_write_tokens"]
    return {
        "input_tokens": usage["prompt_tokens"] - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage["completion_tokens"],
    }
