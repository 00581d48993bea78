"""A chat request that is passed through to a model, and its reply as it arrives, in the shape of OpenAI's chat API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from steproute.core.errors import RequestError
from steproute.core.problem import Message
from steproute.core.solution import ModelCall

LIMIT_FIELDS: Final = ("max_tokens", "max_completion_tokens")
"""The two names of the field that bounds a reply's tokens."""
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A chat request.

    messages: the turns, oldest first, each with every field it came with. fields: all other fields by name. A value is
    JSON, or `msgspec.Raw` for the bytes that it came as. A backend sets `model`, `stream` and
    `stream_options.include_usage` itself.

    Raises RequestError for no messages, and for one without a role.
    """

    messages: tuple[Message, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.messages:
            raise RequestError("is empty.", where="messages", remedy="Give at least one message.")
        for number, message in enumerate(self.messages):
            if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
                raise RequestError(
                    f"{message!r:.80} has no role.",
                    where=f"messages[{number}]",
                    remedy="Give it a role such as 'user'.",
                )

    @classmethod
    def from_json(cls, body: bytes) -> "ChatRequest":
        """From the body of a request. All fields but the messages keep their bytes. Raises RequestError."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            messages = msgspec.json.decode(fields.pop("messages", b"[]"), type=tuple[dict[str, Any], ...])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise RequestError(
                f"the request is no chat request ({failure}).",
                where="messages",
                remedy="Send a JSON object whose messages are a list of objects.",
            ) from None
        return cls(messages=messages, fields=fields)

    def get(self, name: str) -> Any:
        """A field's JSON value; None if it is absent or null. Raises RequestError for bytes that are no JSON."""
        value = self.fields.get(name)
        if not isinstance(value, msgspec.Raw):
            return value
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise RequestError(f"is no JSON ({failure}).", where=name) from None

    def table(self, name: str) -> Mapping[str, Any]:
        """A field's JSON object; empty if it is absent. Raises RequestError for anything else."""
        value = self.get(name)
        if value is None or isinstance(value, Mapping):
            return value or _NOTHING
        raise RequestError(f"{value!r:.80} is no object.", where=name)

    def whole_number(self, name: str) -> int | None:
        """A field's number, None if it is absent. Raises RequestError for anything but a whole number above 0."""
        value = self.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        raise RequestError(f"{value!r:.80} is no whole number above 0.", where=name)

    @property
    def max_tokens(self) -> int | None:
        """How many tokens a reply may have; None if the request does not say. Raises RequestError."""
        limits = [limit for name in LIMIT_FIELDS if (limit := self.whole_number(name)) is not None]
        return max(limits, default=None)

    def within_limit(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Further fields for this request, without a limit of tokens above its own. Raises RequestError."""
        own = self.max_tokens
        return {
            name: value
            for name, value in extra.items()
            if own is None or name not in LIMIT_FIELDS or (isinstance(value, int) and value <= own)
        }

    def limited(self, tokens: int) -> "ChatRequest":
        """The request with a limit of generated tokens, by the name that it uses itself. Raises RequestError."""
        name = next((name for name in LIMIT_FIELDS if self.get(name) is not None), LIMIT_FIELDS[0])
        fields = {key: value for key, value in self.fields.items() if key not in LIMIT_FIELDS}
        return ChatRequest(messages=self.messages, fields={**fields, name: tokens})

    @property
    def replies(self) -> int:
        """How many replies it asks for. Raises RequestError."""
        return self.whole_number("n") or 1

    @property
    def tools(self) -> list[Any]:
        """The tools that it offers. Raises RequestError if they are no list."""
        value = self.get("tools")
        if value is None or isinstance(value, list | tuple):
            return list(value or ())
        raise RequestError(f"{value!r:.80} is no list.", where="tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A further piece of a call that a model makes to a tool.

    index: which of the reply's calls. id, name: in the call's first piece, empty in the others. arguments: further text
    of the JSON. fields: what else its server says of it, as it came.
    """

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDelta:
    """A further piece of a reply.

    reply: which of the replies, from 0. content, reasoning, refusal: further text. logprobs: of this piece, as OpenAI's
    API gives them. finish_reason: in a reply's last piece, `stop`, `length`, `tool_calls` or `content_filter`, or the
    server's own word for anything else. fields: what else the server's delta holds, as it came. call: in the last delta
    of all, what the call used; that delta holds nothing else.
    """

    reply: int = 0
    content: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: Mapping[str, Any] | None = None
    finish_reason: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    call: ModelCall | None = None
