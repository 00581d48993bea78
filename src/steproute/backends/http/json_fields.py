"""Fields of a server's JSON, read by what they hold: null is absent, and numbers and texts come in several types."""

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

_NUMBER: Final = re.compile(r"\s*[+-]?\d{1,18}(?:\.0*)?\s*")
_REASONING: Final = re.compile("think|reason|thought")
_WITHIN: Final = ("text", "thinking", "reasoning", "summary", "content", "value")
_SHOWN: Final = 80
_NOTHING: Final[Mapping[str, object]] = {}


def whole_number(value: object) -> int | None:
    """A whole number, also as a float or text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def table(value: object) -> Mapping[str, object]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else _NOTHING


def tables(value: object, field: str) -> list[Mapping[str, object]]:
    """The objects of a list; an object alone is a list of one. Raises msgspec.DecodeError if there is anything else."""
    held = value if isinstance(value, list) else [value]
    for each in held:
        if each is not None and not isinstance(each, dict):
            raise msgspec.DecodeError(f"{field}: {str(each)[:_SHOWN]!r} is no object")
    return [each for each in held if isinstance(each, dict)]


def word(value: object) -> str:
    """A name such as a reason, also as a number or wrapped in an object; empty if absent."""
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return "" if value is None or value is False or isinstance(value, dict | list) else str(value)


def text_and_reasoning(content: object, field: str = "content") -> tuple[str, str]:
    """Text and reasoning of a message's content: a text or parts. Raises msgspec.DecodeError for other types."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        return _part(content)
    if not isinstance(content, list):
        raise msgspec.DecodeError(f"{field}: {content!r} is no text")
    parts = [text_and_reasoning(part, field) for part in content]
    return "".join(text for text, _ in parts), "".join(reasoning for _, reasoning in parts)


def all_text(value: object) -> str:
    """All text of a value, such as reasoning in one of its many forms; empty if it holds none."""
    if isinstance(value, list):
        return "".join(map(all_text, value))
    if isinstance(value, dict):
        return next(filter(None, (all_text(value.get(name)) for name in _WITHIN)), "")
    return value if isinstance(value, str) else ""


def _part(part: Mapping[str, object]) -> tuple[str, str]:
    if part.get("thought") is True or _REASONING.search(word(part.get("type"))):
        return "", all_text(part)
    return all_text(part.get("text")), ""
