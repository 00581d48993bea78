"""The APIs of the gateway: each is a shape of the same chat request and of the same chat completion."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from steproute.core.errors import SteprouteError
from steproute.serve.chat_request import Chat
from steproute.serve.errors import ApiError, api_error, refused_field

Json = Mapping[str, Any]
SseEvent = dict[str, str]
DONE: Final[SseEvent] = {"data": "[DONE]"}
"""How OpenAI's older streams end."""


class Face(Protocol):
    """One request's shape. names: chat fields that the API calls something else, for its errors."""

    names: Mapping[str, str]

    def whole(self, completion: Json) -> Json:
        """The answer to a request without a stream."""

    def events(self, chunk: Json) -> Iterator[SseEvent]:
        """A chat chunk as events. One with the field `error` is the last."""

    def end(self) -> Iterator[SseEvent]:
        """What follows the last chunk."""


def sse(data: Json, event: str = "") -> SseEvent:
    """A server-sent event."""
    text = msgspec.json.encode(data).decode()
    return {"event": event, "data": text} if event else {"data": text}


def chat_of(fields: Json, names: Mapping[str, str]) -> Chat:
    """The chat request of these fields. Raises ApiError that names a field as the API calls it."""
    try:
        return Chat.of(fields)
    except ApiError as failure:
        raise renamed(failure, names) from None


def renamed(failure: ApiError | SteprouteError, names: Mapping[str, str]) -> ApiError:
    """The error for the client, its field as the API calls it."""
    failure = api_error(failure) if isinstance(failure, SteprouteError) else failure
    name, dot, rest = (failure.param or "").partition(".")
    if (own := names.get(name)) is not None:
        failure.param = own + dot + rest
        if failure.message.startswith(name):
            failure.message = own + failure.message.removeprefix(name)
    return failure


def check_known(fields: Json, known: Collection[str], path: str) -> None:
    """Raises ApiError for a field that the path does not take; null is as good as absent."""
    for name in fields.keys() - known:
        if fields[name] is not None:
            raise refused_field(
                name, f"{path} does not support it here; the page about the gateway's API lists fields."
            )


def summary_of(chunk: Json) -> Json | None:
    """The field `steproute` of a whole answer, if the chunk has that."""
    extension: Json = chunk.get("steproute") or {}
    return extension if "outcome" in extension else None


def step_of(chunk: Json) -> Json:
    """The field `steproute` of a piece that is one step, as a field; nothing for other pieces."""
    extension: Json = chunk.get("steproute") or {}
    return {"steproute": extension} if "step" in extension else {}


def given(**fields: Any) -> dict[str, Any]:
    """Those fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
