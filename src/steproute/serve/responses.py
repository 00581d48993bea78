"""`POST /v1/responses`: the newer API of OpenAI's clients."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.body import read_object
from steproute.serve.chat import replied
from steproute.serve.face import Json, SseEvent, chat_of, sse, step_of, summary_of
from steproute.serve.responses_request import NAMES, ResponsesRequest, read_responses_request

_TEXTS: Final = {"reasoning_content": "reasoning_text", "content": "output_text", "refusal": "refusal"}
"""The kind of part that each text of a chat completion is."""
_REASONING: Final[dict[str, Any]] = {"type": "reasoning", "summary": []}
_MESSAGE: Final[dict[str, Any]] = {"type": "message", "role": "assistant"}
_PREFIXES: Final = {"reasoning": "rs", "message": "msg", "function_call": "fc"}
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the finish reason of a chat completion."""


async def responses(request: Request) -> Response:
    """Answer an input."""
    fields = read_object(await request.body())
    asked, chat_fields = read_responses_request(fields)
    return await replied(request, chat_of(chat_fields, NAMES), ResponsesFace(asked, fields))


class ResponsesFace:
    """A response and the events that build it."""

    names: Mapping[str, str] = NAMES

    def __init__(self, asked: ResponsesRequest, fields: Json) -> None:
        self._asked, self._fields = asked, fields
        self._items: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._finish, self._failed, self._number = "", False, 0
        self._usage: Json | None = None
        self._steproute: Json | None = None
        self._step: Json = {}
        self._id, self._created, self._index = "", 0, 0

    def whole(self, completion: Json) -> Json:
        """The response at its end."""
        choices = [{"delta": each["message"], "finish_reason": each["finish_reason"]} for each in completion["choices"]]
        for _ in (*self.events({**completion, "choices": choices}), *self.end()):
            pass
        return self._response(self._status)

    def events(self, chunk: Json) -> Iterator[SseEvent]:
        """What a piece of the answer adds."""
        if "error" in chunk:
            self._failed = True
            yield from self._close()
            error = {"code": "server_error", "message": chunk["error"]["message"]}
            yield self._event("response.failed", response={**self._response("failed"), "error": error})
            return
        if not self._id:
            self._id, self._created = chunk["id"].removeprefix("chatcmpl-"), chunk["created"]
            yield self._event("response.created", response=self._response("in_progress"))
            yield self._event("response.in_progress", response=self._response("in_progress"))
        self._usage = chunk.get("usage") or self._usage
        self._steproute, self._step = summary_of(chunk) or self._steproute, step_of(chunk)
        for choice in chunk["choices"]:
            yield from self._delta(choice["delta"])
            self._finish = choice["finish_reason"] or self._finish

    def end(self) -> Iterator[SseEvent]:
        """The whole response once more."""
        if not self._failed:
            yield from self._close()
            yield self._event(f"response.{self._status}", response=self._response(self._status))

    def _delta(self, delta: Json) -> Iterator[SseEvent]:
        for name, kind in _TEXTS.items():
            if text := delta.get(name):
                yield from self._text(kind, text)
        for number, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._call(call, call.get("index", number))

    def _text(self, kind: str, text: str) -> Iterator[SseEvent]:
        own = _REASONING if kind == "reasoning_text" else _MESSAGE
        item = self._open_item
        if item is None or item["type"] != own["type"]:
            yield from self._close()
            item = self._item(**own, content=[])
            yield self._of_item("response.output_item.added", item={**item, "content": []})
        if not item["content"] or item["content"][-1]["type"] != kind:
            yield from self._close_part()
            item["content"].append(_part(kind, ""))
            yield self._of_part("response.content_part.added", part=_part(kind, ""))
        self._pieces.append(text)
        yield self._of_part(f"response.{kind}.delta", delta=text, **_logprobs(kind), **self._step)

    def _call(self, call: Json, index: int) -> Iterator[SseEvent]:
        function = call.get("function") or {}
        item = self._open_item
        if item is None or item["type"] != "function_call" or index != self._index:
            yield from self._close()
            self._index = index
            call_id, name = call.get("id") or "", function.get("name") or ""
            item = self._item(type="function_call", call_id=call_id, name=name, arguments="")
            yield self._of_item("response.output_item.added", item=dict(item))
        if text := function.get("arguments"):
            self._pieces.append(text)
            yield self._of_item("response.function_call_arguments.delta", item_id=item["id"], delta=text)

    @property
    def _open_item(self) -> dict[str, Any] | None:
        return self._items[-1] if self._items and self._items[-1]["status"] == "in_progress" else None

    def _item(self, **fields: Any) -> dict[str, Any]:
        place = f"{self._id}_{len(self._items)}"
        item = {"id": f"{_PREFIXES[fields['type']]}_{place}", "status": "in_progress", **fields}
        self._items.append(item)
        return item

    def _close(self) -> Iterator[SseEvent]:
        """End the item that is open, if one is."""
        if (item := self._open_item) is None:
            return
        if item["type"] != "function_call":
            yield from self._close_part()
        else:
            item["arguments"] = self._joined()
            done = {"item_id": item["id"], "name": item["name"], "arguments": item["arguments"]}
            yield self._of_item("response.function_call_arguments.done", **done)
        item["status"] = "incomplete" if self._failed or self._finish in _INCOMPLETE else "completed"
        yield self._of_item("response.output_item.done", item=item)

    def _close_part(self) -> Iterator[SseEvent]:
        if not (parts := self._items[-1]["content"]):
            return
        kind = parts[-1]["type"]
        parts[-1][_key(kind)] = self._joined()
        yield self._of_part(f"response.{kind}.done", **{_key(kind): parts[-1][_key(kind)]}, **_logprobs(kind))
        yield self._of_part("response.content_part.done", part=parts[-1])

    def _joined(self) -> str:
        """The text of what is being closed."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return text

    def _of_part(self, kind: str, **fields: Any) -> SseEvent:
        item = self._items[-1]
        return self._of_item(kind, item_id=item["id"], content_index=len(item["content"]) - 1, **fields)

    def _of_item(self, kind: str, **fields: Any) -> SseEvent:
        return self._event(kind, output_index=len(self._items) - 1, **fields)

    def _event(self, kind: str, **fields: Any) -> SseEvent:
        self._number += 1
        return sse({"type": kind, "sequence_number": self._number - 1, **fields}, kind)

    @property
    def _status(self) -> str:
        return "incomplete" if self._finish in _INCOMPLETE else "completed"

    def _response(self, status: str) -> dict[str, Any]:
        asked, reason = self._asked, _INCOMPLETE.get(self._finish)
        more = {} if self._steproute is None else {"steproute": self._steproute}
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if status == "incomplete" else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": asked.model,
            "output": list(self._items),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": self._fields.get("reasoning") or {},
            "store": False,
            "temperature": asked.temperature,
            "text": self._fields.get("text") or {"format": {"type": "text"}},
            "tool_choice": self._fields.get("tool_choice") or "auto",
            "tools": asked.tools or [],
            "top_p": asked.top_p,
            "truncation": "disabled",
            "usage": None if self._usage is None else _usage(self._usage),
            "user": asked.user,
            **more,
        }


def _key(kind: str) -> str:
    return "refusal" if kind == "refusal" else "text"


def _part(kind: str, text: str) -> dict[str, Any]:
    annotations: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
    return {"type": kind, _key(kind): text, **annotations, **_logprobs(kind)}


def _logprobs(kind: str) -> dict[str, Any]:
    return {"logprobs": []} if kind == "output_text" else {}


def _usage(usage: Json) -> dict[str, Any]:
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "cache_write_tokens": usage["prompt_tokens_details"]["cache_write_tokens"],
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": usage["total_tokens"],
    }
