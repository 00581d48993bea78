"""`POST /v1/responses`: its request as a chat request."""

from typing import Any, Final

import msgspec

from steproute.serve.body import typed
from steproute.serve.chat_request import Overrides
from steproute.serve.errors import ApiError, refused_field
from steproute.serve.face import Json, check_known, given

_PATH: Final = "/v1/responses"
NAMES: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
}
"""Fields of the chat API by their names in this one."""
_NOTHING: Final = frozenset({"reasoning.encrypted_content"})
"""What `include` may ask for: what an answer has none of."""


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """What the text has to be. format: plain text, JSON, or JSON by a schema."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """How much a model is to reason."""

    effort: str | None = None


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Padding that OpenAI's own service adds to events; there is none here."""

    include_obfuscation: bool | None = None


class ResponsesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request to the Responses API. input: a text, or messages, function calls and their outputs."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    text: TextOptions | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    truncation: str | None = None
    background: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    steproute: Overrides | None = None


def read_responses_request(fields: Json) -> tuple[ResponsesRequest, dict[str, Any]]:
    """The request, and the fields of the chat request that it means. Raises ApiError that names the field."""
    check_known(fields, ResponsesRequest.__struct_fields__, _PATH)
    asked = typed(fields, ResponsesRequest)
    if asked.background:
        raise refused_field("background", "answers are given while the client waits.")
    if asked.store:
        raise refused_field("store", "answers are not stored for later requests.")
    if asked.truncation not in (None, "disabled"):
        raise refused_field("truncation", "no part of the input is left out.")
    for name in asked.include or ():
        if name not in _NOTHING:
            raise refused_field("include", f"{name!r} cannot be included.")
    return asked, {**_same(asked, fields), **_tools(asked), "messages": _messages(asked)}


def _same(asked: ResponsesRequest, fields: Json) -> dict[str, Any]:
    text, reasoning = asked.text or TextOptions(), asked.reasoning or Reasoning()
    same = ("temperature", "top_p", "user", "safety_identifier")
    return {
        "model": asked.model,
        **given(**{name: fields.get(name) for name in (*same, "prompt_cache_key", "service_tier", "steproute")}),
        **given(max_tokens=asked.max_output_tokens, verbosity=text.verbosity, reasoning_effort=reasoning.effort),
        **given(response_format=None if text.format is None else _format(text.format)),
        **({"stream": True, "stream_options": {"include_usage": True}} if asked.stream else {}),
    }


def _format(form: Json) -> Json:
    if form.get("type") != "json_schema":
        return form
    return {"type": "json_schema", "json_schema": {name: value for name, value in form.items() if name != "type"}}


# Tools.


def _tools(asked: ResponsesRequest) -> dict[str, Any]:
    tools = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(asked.tools or ())]
    choice = asked.tool_choice
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise refused_field("tool_choice", f"{choice.get('type')!r} cannot be chosen; functions can.")
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    return given(tools=tools, tool_choice=choice, parallel_tool_calls=asked.parallel_tool_calls) if tools else {}


def _tool(tool: Json, where: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise refused_field(where, f"{tool.get('type')!r} is a tool of another service; functions are passed on.")
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


# Input.


def _messages(asked: ResponsesRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.instructions:
        messages.append({"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        return [*messages, {"role": "user", "content": asked.input}]
    for number, item in enumerate(asked.input):
        if item.get("type") == "reasoning":
            continue  # of an earlier answer, which models do not read
        message = _message(item, f"input[{number}]")
        if messages and message.get("tool_calls") and messages[-1]["role"] == "assistant":
            messages[-1] = {**messages[-1], "tool_calls": [*messages[-1].get("tool_calls", ()), *message["tool_calls"]]}
        else:
            messages.append(message)
    return messages


def _message(item: Json, where: str) -> dict[str, Any]:
    """A message, a call of a function, or its output, as a turn of a chat."""
    match item.get("type", "message"):
        case "message":
            return {"role": _word(item, "role", where), "content": _content(item.get("content"), f"{where}.content")}
        case "function_call":
            function = {name: _word(item, name, where) for name in ("name", "arguments")}
            call = {"id": _word(item, "call_id", where), "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        case "function_call_output":
            output = _content(item.get("output"), f"{where}.output")
            return {"role": "tool", "tool_call_id": _word(item, "call_id", where), "content": output}
    raise refused_field(where, f"items of type {item.get('type')!r} are not taken.")


def _word(item: Json, name: str, where: str) -> str:
    if not isinstance(value := item.get(name), str):
        raise ApiError(400, f"{where}.{name}: {value!r:.80} is no text.", param=f"{where}.{name}")
    return value


def _content(content: object, where: str) -> str | list[dict[str, Any]]:
    """A text, or parts; a single part of text is a text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise ApiError(400, f"{where}: {content!r:.80} is no text and no list of parts.", param=where)
    parts = [_part(part, f"{where}[{number}]") for number, part in enumerate(content)]
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part(part: Json, where: str) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text":
            return {"type": "text", "text": _word(part, "text", where)}
        case "input_image" if part.get("image_url"):
            image = given(url=part["image_url"], detail=part.get("detail"))
            return {"type": "image_url", "image_url": image}
    raise refused_field(where, f"parts of type {part.get('type')!r} are not taken, nor files by their ids.")
