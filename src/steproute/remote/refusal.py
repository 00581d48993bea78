"""What the body of a server's error says, however it is wrapped."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from steproute.remote.overflow import tells_overflow

_STATUSES: Final = {
    **dict.fromkeys(("invalid_request_error", "context_length_exceeded", "exceed_context_size_error"), 400),
    **dict.fromkeys(("authentication_error", "invalid_api_key"), 401),
    "billing_error": 402,
    "permission_error": 403,
    **dict.fromkeys(("not_found_error", "model_not_found"), 404),
    "request_too_large": 413,
    **dict.fromkeys(("rate_limit_error", "rate_limit_exceeded", "insufficient_quota"), 429),
    "not_supported_error": 501,
    "unavailable_error": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_OVERFLOWS: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error's message, in full, and its code and type where it has them, as text."""

    message: str
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: object) -> "Refusal":
        """What a body says: an object, one that holds it as `error`, or text."""
        inner = (body.get("error") or body) if isinstance(body, dict) else body
        if not isinstance(inner, dict):
            return cls(message=str(inner))
        said = inner.get("message")
        message = said if isinstance(said, str) and said else str(inner)
        names = tuple(str(inner[field]) for field in ("code", "type") if inner.get(field) is not None)
        return cls(message=message + _reason_of_provider(inner.get("metadata")), names=names)

    @property
    def status(self) -> int:
        """The status that it stands for where it came with none of its own."""
        for name in self.names:
            if re.fullmatch("[45][0-9]{2}", name):
                return int(name)
            if name in _STATUSES:
                return _STATUSES[name]
        return 500

    @property
    def is_overflow(self) -> bool:
        """Whether the context cannot hold the prompt."""
        return not _OVERFLOWS.isdisjoint(self.names) or tells_overflow(self.message)

    @property
    def is_spent(self) -> bool:
        """Whether the account has no money left."""
        return not _SPENT.isdisjoint(self.names)


def _reason_of_provider(metadata: object) -> str:
    """What a gateway passes on of the error of the server behind it, as OpenRouter does."""
    if not isinstance(metadata, dict) or not metadata.get("raw"):
        return ""
    raw = metadata["raw"]
    if isinstance(raw, str):
        with suppress(msgspec.DecodeError, UnicodeEncodeError):
            raw = msgspec.json.decode(raw)
    return f" ({metadata.get('provider_name') or 'its provider'}: {Refusal.of(raw).message})"
