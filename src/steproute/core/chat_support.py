"""Which fields of a chat request a model cannot do, by what it declares."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from steproute.core.chat import ChatRequest
from steproute.core.errors import FieldRefused
from steproute.core.ports import ModelCapabilities
from steproute.core.problem import Message

_CALLS: Final = ("tool_calls", "tool_call_id", "function_call")


def refusal(model: str, field: str, reason: str, remedy: str) -> FieldRefused:
    """The error that refuses a field of a chat request by name."""
    failure = FieldRefused(f"{model} {reason}.", (field.partition("[")[0],), where=field)
    failure.remedy = remedy
    return failure


def check_supported(request: ChatRequest, capabilities: ModelCapabilities, model: str) -> None:
    """Raises FieldRefused for the first field that `model`, which has these capabilities, cannot do."""
    if not capabilities.tool_calls:
        for field in _tool_fields(request):
            raise refusal(model, field, "calls no tools", "Remove it, or send the request to a model that does.")
    if not capabilities.images:
        for place, kind in _parts_beside_text(request.messages):
            raise refusal(model, place, f"reads no {kind}", "Remove it, or send the request to a model that does.")
    if request.replies > 1 and not capabilities.several:
        raise refusal(model, "n", "writes one reply per request", "Remove it.")
    form = request.table("response_format").get("type", "text")
    if form != "text" and form not in capabilities.response_formats:
        known = ", ".join(map(repr, ("text", *capabilities.response_formats)))
        raise refusal(model, "response_format", f"does not reply as {form!r}", f"Use one of {known}.")


def _tool_fields(request: ChatRequest) -> Iterator[str]:
    """Fields that offer tools, or tell of calls to them."""
    yield from (name for name in ("tools", "functions") if request.get(name))
    if request.get("tool_choice") not in (None, "none", "auto"):
        yield "tool_choice"
    for number, message in enumerate(request.messages):
        yield from (f"messages[{number}].{name}" for name in _CALLS if message.get(name))


def _parts_beside_text(messages: Iterable[Message]) -> Iterator[tuple[str, str]]:
    """Where a content has parts that are no text, and what they are."""
    for number, message in enumerate(messages):
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list | tuple) else ()):
            if isinstance(part, Mapping) and part.get("type") != "text":
                yield f"messages[{number}].content[{place}]", str(part.get("type"))
