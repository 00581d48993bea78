"""`POST /v1/messages`: a request in Anthropic's words as a chat request."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from steproute.serve.body import typed
from steproute.serve.chat_request import Overrides
from steproute.serve.errors import ApiError, refused_field
from steproute.serve.face import Json, check_known, given

_PATH: Final = "/v1/messages"
NAMES: Final = {"stop": "stop_sequences", "response_format": "output_config.format"}
_TIERS: Final = frozenset({"auto", "standard_only", None})


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks."""

    user_id: str | None = None


class MessagesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request to the Messages API."""

    model: str
    max_tokens: int
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    steproute: Overrides | None = None


def read_messages_request(fields: Json) -> tuple[MessagesRequest, dict[str, Any]]:
    """The request, and the fields of the chat request that it means. Raises ApiError that names the field."""
    check_known(fields, MessagesRequest.__struct_fields__, _PATH)
    asked = typed(fields, MessagesRequest)
    if asked.service_tier not in _TIERS:
        raise refused_field("service_tier", "there are no tiers.")
    same = ("temperature", "top_p", "top_k", "steproute")
    thinking = None if asked.thinking == {"type": "disabled"} else asked.thinking
    user = (asked.metadata or Metadata()).user_id
    return asked, {
        "model": asked.model,
        "max_tokens": asked.max_tokens,
        **given(**{name: fields.get(name) for name in same}),
        **given(stop=asked.stop_sequences or None, thinking=thinking, user=user),
        **({"stream": True, "stream_options": {"include_usage": True}} if asked.stream else {}),
        **_tools(asked),
        "messages": [*_system(asked.system), *_turns(asked.messages)],
    }


# Tools.


def _tools(asked: MessagesRequest) -> dict[str, Any]:
    if not asked.tools:
        return {}
    tools = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(asked.tools)]
    choice = asked.tool_choice or {}
    parallel = False if choice.get("disable_parallel_tool_use") else None
    return {"tools": tools, **given(tool_choice=_choice(choice), parallel_tool_calls=parallel)}


def _tool(tool: Json, where: str) -> dict[str, Any]:
    if tool.get("type", "custom") != "custom":
        raise refused_field(where, f"{tool.get('type')!r} is a tool of another service; your own are passed on.")
    names = {"name": "name", "description": "description", "input_schema": "parameters", "strict": "strict"}
    for name in tool.keys() - names.keys() - {"type", "cache_control"}:
        raise refused_field(f"{where}.{name}", "it has no counterpart in a chat request.")
    return {"type": "function", "function": {own: tool[name] for name, own in names.items() if name in tool}}


def _choice(choice: Json) -> Any:
    match choice.get("type"):
        case None:
            return None
        case "auto" | "none":
            return choice["type"]
        case "any":
            return "required"
        case "tool":
            return {"type": "function", "function": {"name": choice.get("name")}}
    raise refused_field("tool_choice", f"{choice.get('type')!r} is no choice.")


# Turns.


def _system(system: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    if not system:
        return []
    blocks = [system] if isinstance(system, str) else [_word(block, "text", "system") for block in system]
    return [{"role": "system", "content": "\n\n".join(blocks)}]


def _turns(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if (role := message.get("role")) not in ("user", "assistant", "system"):
            raise ApiError(400, f"{where}.role: {role!r:.80} is not user or assistant.", param=f"{where}.role")
        content = message.get("content")
        if isinstance(content, str):
            yield {"role": role, "content": content}
        else:
            yield from _turn(str(role), _blocks(content, f"{where}.content"), f"{where}.content")


def _blocks(content: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise ApiError(400, f"{where}: {content!r:.80} is no text and no list of blocks.", param=where)
    return content


def _turn(role: str, blocks: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """The results of tools first, each a turn of its own, then the rest of the turn."""
    turn: dict[str, list[dict[str, Any]]] = {"content": [], "tool_calls": [], "thinking_blocks": []}
    for number, block in enumerate(blocks):
        place = f"{where}[{number}]"
        match block.get("type"):
            case "tool_result":
                yield _result(block, place)
            case "tool_use":
                turn["tool_calls"].append(_use(block, place))
            case "thinking" | "redacted_thinking":
                turn["thinking_blocks"].append(block)
            case _:
                turn["content"].append(_part(block, place))
    if any(turn.values()):
        yield {"role": role, "content": _text_or_parts(turn.pop("content")), **{k: v for k, v in turn.items() if v}}


def _text_or_parts(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts or None


def _part(block: Json, where: str) -> dict[str, Any]:
    source = block["source"] if isinstance(block.get("source"), dict) else {}
    match block.get("type"), source.get("type"):
        case "text", _:
            return {
                "type": "text",
                "text": _word(block, "text", where),
                **given(cache_control=block.get("cache_control")),
            }
        case "image", "url":
            return {"type": "image_url", "image_url": {"url": _word(source, "url", where)}}
        case "image", "base64":
            data = f"data:{_word(source, 'media_type', where)};base64,{_word(source, 'data', where)}"
            return {"type": "image_url", "image_url": {"url": data}}
    raise refused_field(where, f"blocks of type {block.get('type')!r} are not taken, nor files by their ids.")


def _use(block: Json, where: str) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    function = {"name": _word(block, "name", where), "arguments": arguments}
    return {"id": _word(block, "id", where), "type": "function", "function": function}


def _result(block: Json, where: str) -> dict[str, Any]:
    content = block.get("content") or ""
    if not isinstance(content, str):
        parts = [_part(each, f"{where}.content") for each in _blocks(content, f"{where}.content")]
        content = _text_or_parts(parts) or ""
    return {"role": "tool", "tool_call_id": _word(block, "tool_use_id", where), "content": content}


def _word(block: Json, name: str, where: str) -> str:
    if not isinstance(value := block.get(name), str):
        raise ApiError(400, f"{where}.{name}: {value!r:.80} is no text.", param=where)
    return value
