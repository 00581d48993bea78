"""A conversation as the Messages API takes it, marked for its prompt cache."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from steproute.backends.prompts import NOTHING_YET, written
from steproute.core.problem import SYSTEM_ROLES, Message
from steproute.core.solution import Prefix

_CACHED: Final = {"cache_control": {"type": "ephemeral"}}


def conversation(messages: Sequence[Message], prefix: Prefix) -> dict[str, Any]:
    """A request's `system` and `messages`, marked at the end of each prefix to be cached.

    Those are the instructions, the problem and the newest step: each step is a block of its own, so that what was
    cached at one step is read at the next. No block is blank and no prefill ends with white space: the API refuses
    both.
    """
    turns = [({**each}, _blocks(each["content"], prefix)) for each in messages]
    system = [block for turn, blocks in turns if turn["role"] in SYSTEM_ROLES for block in blocks]
    turns = [(turn, blocks) for turn, blocks in turns if blocks and turn["role"] not in SYSTEM_ROLES]
    parted = [blocks for _, blocks in turns if blocks[1:]] or [blocks for _, blocks in turns[1:]]
    for block in [*system, turns[0][1][0], *(blocks[-1] for blocks in parted[:1])]:
        block.update(_CACHED)
    request: dict[str, Any] = {"messages": [{**turn, "content": blocks} for turn, blocks in turns]}
    if prefix.problem.tools:
        request["tools"] = [tool_definition(tool) for tool in prefix.problem.tools]
    return {**request, "system": system} if system else request


def tool_definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as the chat APIs describe it, in the Messages API's words; one that is in them already stays."""
    function = tool.get("function")
    if function is None:
        return {**tool}
    schema = {"input_schema": function.get("parameters", {"type": "object"})}
    return {name: function[name] for name in ("name", "description", "strict") if name in function} | schema


def image_block(part: Mapping[str, Any]) -> dict[str, Any]:
    """An image in the chat APIs' words as the Messages API has it."""
    address = part["image_url"]["url"] if isinstance(part["image_url"], Mapping) else part["image_url"]
    if not address.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": address}}
    media_type, _, data = address.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _blocks(content: str | Sequence[Mapping[str, Any]] | None, prefix: Prefix) -> list[dict[str, Any]]:
    """The content as it is; if it ends with the steps so far, parted before each of them."""
    if not isinstance(content, str):
        return [image_block(part) if part.get("type") == "image_url" else {**part} for part in content or ()]
    solution = written(prefix) or NOTHING_YET
    parts = [content]
    if content.endswith(solution):
        between = ["", *(prefix.separator for _ in prefix.steps[1:])]
        steps = [before + step.text for before, step in zip(between, prefix.steps, strict=False)] or [NOTHING_YET]
        parts = [content.removesuffix(solution), *steps]
        parts[-1] = parts[-1].rstrip()
    return [{"type": "text", "text": part} for part in parts if part.strip()]
