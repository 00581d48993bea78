"""A chat request in OpenAI's words as a request to the Messages API."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from steproute.backends.anthropic.prompt import image_block, tool_definition
from steproute.core.chat import LIMIT_FIELDS, ChatRequest
from steproute.core.chat_support import refusal
from steproute.core.errors import FieldRefused, RequestError
from steproute.core.problem import SYSTEM_ROLES, Message

MAX_TOKENS: Final = 8192
"""How many tokens a reply may have if neither the request nor the settings say; the API needs a number."""
_NATIVE: Final = ("temperature", "top_p", "top_k", "thinking", "output_config", "cache_control")
_TRANSLATED: Final = ("tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "user", *LIMIT_FIELDS)
_NO_EFFECT: Final = ("model", "stream", "stream_options", "store", "metadata", "prompt_cache_key", "safety_identifier")
_NEUTRAL: Final[Mapping[str, Any]] = {
    "n": 1,
    "logprobs": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "modalities": ["text"],
    "service_tier": "auto",
}
_REMEDY: Final = "Remove it, or send the request to another model."
_OF_MESSAGE: Final = frozenset(("role", "content", "tool_calls", "tool_call_id", "thinking_blocks"))
_OF_OLD_REPLY: Final = frozenset(("reasoning", "reasoning_content", "annotations", "refusal"))
"""What replies hold beside their content, and clients send back; models do not read it."""


def message_fields(request: ChatRequest, model: str) -> dict[str, Any]:
    """The fields of a request to the Messages API. Raises FieldRefused for what it cannot do, RequestError."""
    _check_fields(request, model)
    fields: dict[str, Any] = {name: value for name in _NATIVE if (value := request.get(name)) is not None}
    system = [block for each in request.messages if each["role"] in SYSTEM_ROLES for block in _text_blocks(each)]
    fields |= {"system": system} if system else {}
    fields |= {"messages": _turns(request.messages, model), "max_tokens": request.max_tokens or MAX_TOKENS}
    if stop := request.get("stop"):
        fields["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (user := request.get("user")) is not None:
        fields["metadata"] = {"user_id": user}
    return fields | _tool_fields(request, model) | _form(request, fields)


def _check_fields(request: ChatRequest, model: str) -> None:
    known = {*_NATIVE, *_TRANSLATED, *_NO_EFFECT}
    for name in request.fields:
        value = request.get(name)
        if name not in known and value is not None and value != _NEUTRAL.get(name, ...):
            raise refusal(model, name, "does not take this field", _REMEDY)


def _form(request: ChatRequest, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The field that asks for JSON."""
    form = request.table("response_format")
    if form.get("type", "text") == "text":
        return {}
    schema = (form.get("json_schema") or {}).get("schema")
    if not isinstance(schema, Mapping):
        raise RequestError("it has no schema.", where="response_format.json_schema", remedy="Give it a JSON schema.")
    return {"output_config": {**fields.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}}


# Tools.


def _tool_fields(request: ChatRequest, model: str) -> dict[str, Any]:
    if not request.tools:
        return {}
    tools = [_tool(tool, f"tools[{number}]", model) for number, tool in enumerate(request.tools)]
    choice = _tool_choice(request.get("tool_choice"), model)
    if request.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": tools} | ({} if choice == {"type": "auto"} else {"tool_choice": choice})


def _tool(tool: object, where: str, model: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping):
        raise RequestError(f"{tool!r:.80} is no object.", where=where)
    if "function" not in tool and tool.get("type") in ("function", "custom") and "input_schema" not in tool:
        raise refusal(model, where, f"has no tools such as {tool!r:.80}", "Describe it as a function.")
    return tool_definition(tool)


def _tool_choice(choice: object, model: str) -> dict[str, Any]:
    if choice is None or choice == "auto":
        return {"type": "auto"}
    if choice == "none":
        return {"type": "none"}
    if choice == "required":
        return {"type": "any"}
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        return {"type": "tool", "name": function.get("name")}
    known = "'none', 'auto', 'required' or a function by its name"
    raise refusal(model, "tool_choice", f"cannot choose by {choice!r:.80}", f"Use {known}.")


# Messages.


def _turns(messages: Iterable[Message], model: str) -> list[dict[str, Any]]:
    """The turns of user and assistant; results of tools belong to the user's, and turns of one side are joined."""
    turns: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if message["role"] in SYSTEM_ROLES:
            continue
        where = f"messages[{number}]"
        role, blocks = _blocks(message, where, model)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if turns and turns[-1]["role"] == "assistant" and turns[-1]["content"][-1].get("type") == "text":
        last = turns[-1]["content"][-1]
        last["text"] = last["text"].rstrip()  # the API refuses white space at the end of a half-written answer
    return turns


def _blocks(message: Message, where: str, model: str) -> tuple[str, list[dict[str, Any]]]:
    for name, value in message.items():
        if name not in _OF_MESSAGE and name not in _OF_OLD_REPLY and value:
            raise refusal(model, f"{where}.{name}", "does not take this field", _REMEDY)
    match message["role"]:
        case "user":
            return "user", _parts(message.get("content"), f"{where}.content", model)
        case "assistant":
            calls = message.get("tool_calls") or ()
            uses = [_tool_use(call, f"{where}.tool_calls[{place}]") for place, call in enumerate(calls)]
            thinking = [dict(block) for block in message.get("thinking_blocks") or ()]
            return "assistant", [*thinking, *_parts(message.get("content"), f"{where}.content", model), *uses]
        case "tool":
            return "user", [_tool_result(message, where, model)]
    raise refusal(model, f"{where}.role", f"has no role {message['role']!r}", "Use user, assistant, tool or system.")


def _tool_use(call: Any, where: str) -> dict[str, Any]:
    try:
        function = call["function"]
        arguments = msgspec.json.decode(function.get("arguments") or "{}", type=dict[str, Any])
        return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}
    except (KeyError, TypeError, AttributeError):
        raise RequestError(
            f"{call!r:.80} is no call of a function.", where=where, remedy="Give it an id and a function."
        ) from None
    except msgspec.DecodeError as failure:
        raise RequestError(
            f"{failure}.", where=f"{where}.function.arguments", remedy="Send the arguments as a JSON object."
        ) from None


def _tool_result(message: Message, where: str, model: str) -> dict[str, Any]:
    if not isinstance(message.get("tool_call_id"), str):
        raise RequestError("it has no tool_call_id.", where=where, remedy="Give it the id of the call that it answers.")
    content = _parts(message.get("content"), f"{where}.content", model)
    result = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
    return {**result, "content": content} if content else result


def _parts(content: object, where: str, model: str) -> list[dict[str, Any]]:
    """A content as blocks; the API refuses blank ones."""
    if content is None or isinstance(content, str):
        return _text(content or "")
    if not isinstance(content, Sequence):
        raise RequestError(f"{content!r:.80} is no content.", where=where, remedy="Give it a text or a list of parts.")
    return [block for place, part in enumerate(content) for block in _part(part, f"{where}[{place}]", model)]


def _part(part: Any, where: str, model: str) -> list[dict[str, Any]]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    try:
        match kind:
            case "text":
                return [{**part}] if part["text"].strip() else []
            case "image_url":
                return [image_block(part)]
            case "file":
                return [_document(part["file"], where, model)]
            case "image" | "document" | "search_result":
                return [{**part}]
    except (KeyError, TypeError, AttributeError):
        raise RequestError(
            f"{part!r:.80} is no {kind} part.", where=where, remedy="Give it what its type needs."
        ) from None
    raise refusal(model, where, f"reads no part {kind!r}", _REMEDY)


def _document(file: Mapping[str, Any], where: str, model: str) -> dict[str, Any]:
    if "file_data" not in file:
        raise _no_file(where, model)
    media_type, _, data = file["file_data"].removeprefix("data:").partition(";base64,")
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "document", "source": source, **({"title": file["filename"]} if file.get("filename") else {})}


def _no_file(where: str, model: str) -> FieldRefused:
    return refusal(model, f"{where}.file.file_id", "knows no files by their ids", "Send the file's data.")


def _text_blocks(message: Message) -> list[dict[str, Any]]:
    """The texts of a system message."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return _text(content or "")
    return [{**part} for part in content if isinstance(part.get("text"), str) and part["text"].strip()]


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text.strip() else []
