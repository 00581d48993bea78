"""What the body of a server's error says, however it is wrapped."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from steproute.backends.http.body_reader import page_in
from steproute.backends.http.json_fields import table
from steproute.backends.http.overflow import context_and_prompt, is_overflow

_STATUSES: Final = {
    **dict.fromkeys(
        (
            "invalid_request_error",
            "context_length_exceeded",
            "exceed_context_size_error",
            "invalid_argument",
            "failed_precondition",
            "validationexception",
            "content_filter",
            "invalid_prompt",
        ),
        400,
    ),
    **dict.fromkeys(
        ("authentication_error", "invalid_api_key", "invalid_authentication_error", "unauthenticated"), 401
    ),
    "billing_error": 402,
    **dict.fromkeys(("permission_error", "permission_denied", "accessdeniedexception"), 403),
    **dict.fromkeys(
        ("not_found_error", "model_not_found", "not_found", "resource_not_found_error", "resourcenotfoundexception"),
        404,
    ),
    "request_too_large": 413,
    **dict.fromkeys(
        (
            "rate_limit_error",
            "rate_limit_exceeded",
            "rate_limit_reached_error",
            "insufficient_quota",
            "resource_exhausted",
            "throttlingexception",
            "servicequotaexceededexception",
            "1302",  # z.ai
            "1303",
            "1305",
        ),
        429,
    ),
    "not_supported_error": 501,
    **dict.fromkeys(
        ("unavailable_error", "unavailable", "serviceunavailableexception", "modelnotreadyexception", "overloaded"), 503
    ),
    **dict.fromkeys(("timeout_error", "deadline_exceeded", "modeltimeoutexception"), 504),
    **dict.fromkeys(("overloaded_error", "engine_overloaded_error"), 529),
}
_SPENT: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
        "insufficient_balance",
        "1113",  # z.ai
    }
)
_INNER: Final = ("error", "errors", "fault", "base_resp")
_MESSAGES: Final = (
    "message",
    "Message",
    "msg",
    "detail",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "faultstring",
    "error_description",
    "error",
)
_NAMED_BY: Final = ("code", "type", "status", "error_type", "error_code", "status_code", "__type", "http_code")
_DEPTH: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """An error's message, in full, its code, type and the like as text, and all its fields."""

    message: str
    names: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, body: object) -> "ErrorBody":
        """What a body says: an object, one that holds it as `error` or in a list, or text."""
        try:
            return cls._of(body)
        except RecursionError:
            return cls(message="an error that is nested too deeply to read")

    @classmethod
    def _of(cls, body: object) -> "ErrorBody":
        levels = _levels(body)
        inner = levels[-1]
        if not isinstance(inner, dict):
            if isinstance(inner, str) and (page := page_in(inner)) is not None:
                return cls(message=page.what)
            outer = levels[-2] if len(levels) > 1 else None
            beside = _text(outer) if isinstance(outer, dict) else ""
            message = str(inner) if beside in ("", inner) else f"{inner}: {beside}"
            return cls(message=message, names=_names(levels))
        message = _text(inner) or str(inner)
        return cls(message=message + _reason_of_provider(inner.get("metadata")), names=_names(levels), fields=inner)

    @property
    def status(self) -> int:
        """The status that it stands for if it came with none of its own."""
        for name in self.names:
            if re.fullmatch("[45][0-9]{2}", name):
                return int(name)
            if name.lower() in _STATUSES:
                return _STATUSES[name.lower()]
        return 500

    @property
    def is_overflow(self) -> bool:
        """Whether the context cannot hold the prompt."""
        return is_overflow(self.message, self.names)

    @property
    def room(self) -> tuple[int | None, int | None]:
        """Tokens of the context and of the prompt that an overflow tells."""
        return context_and_prompt(self.message, self.fields)

    @property
    def is_spent(self) -> bool:
        """Whether the account has no money left."""
        return not _SPENT.isdisjoint(self.names)


def _levels(body: object) -> list[object]:
    """The body, what it holds as its error, what that holds, and so on."""
    levels = [body]
    for _ in range(_DEPTH):
        last = levels[-1]
        if isinstance(last, list):
            inner = next(filter(None, last), None)
        else:
            inner = next(filter(None, (table(last).get(name) for name in _INNER)), None)
        if not inner:
            break
        levels.append(inner)
    return levels


def _text(fields: Mapping[str, object]) -> str:
    """The message of an error; one that is an object or a JSON document itself says it within."""
    for name in _MESSAGES:
        message = fields.get(name)
        if isinstance(message, str) and message:
            return _unwrapped(message)
        if isinstance(message, dict | list) and message:
            return ErrorBody._of(message).message
    return ""


def _unwrapped(message: str) -> str:
    if message.lstrip().startswith("{"):
        with suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            inner = msgspec.json.decode(message)
            return (_text(table(table(inner).get("error"))) or _text(table(inner))) or message
    return message


def _names(levels: list[object]) -> tuple[str, ...]:
    """Codes and types, those of the innermost object first."""
    tables = [table(each) for each in reversed(levels)]
    held = [fields[name] for fields in tables for name in _NAMED_BY if fields.get(name) not in (None, "")]
    return tuple(str(name) for name in held if isinstance(name, str | int))


def _reason_of_provider(metadata: object) -> str:
    """What a gateway passes on of the error of the server behind it, as OpenRouter does."""
    if not isinstance(metadata, dict) or not metadata.get("raw"):
        return ""
    raw = metadata["raw"]
    if isinstance(raw, str):
        with suppress(msgspec.DecodeError, UnicodeEncodeError):
            raw = msgspec.json.decode(raw)
    return f" ({metadata.get('provider_name') or 'its provider'}: {ErrorBody.of(raw).message})"
