"""How long a server asks to wait before the next request, in a header or in the body of its error."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS: Final = (
    *(("ms", r"ms|milli(?:second)?s?"), ("s", r"s|secs?|seconds?"), ("m", r"m|mins?|minutes?")),
    *(("h", r"h|hrs?|hours?"), ("d", r"d|days?")),
)
_PART: Final = re.compile(
    r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _UNITS) + r")(?![a-z])",
    re.IGNORECASE,
)
_ASKED: Final = re.compile(
    r"\b(?:try again|retry|retrying|reset(?:s|ting)?|wait|available)\b[^.\d]{0,20}?\b(?:in|after|for)\b[\s:~]*(?=\d)",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?(?:e\+?\d+)?", re.IGNORECASE)
_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms")
_FIELDS: Final = {
    **dict.fromkeys(("retrydelay", "retryafter", "retryafterseconds", "retryafters", "quotaresetdelay"), 1.0),
    **dict.fromkeys(("retryafterms", "retrydelayms", "retryaftermilliseconds"), 0.001),
}
_DEPTH: Final = 8


def retry_after(headers: Mapping[str, str], body: object = None) -> float | None:
    """Seconds that a server asks to wait, maybe infinitely many; None if it does not say so in a sound way.

    headers: with names in lower case. A header counts before the body, in which fields count before sentences.
    """
    for name in _MILLISECONDS:
        if (milliseconds := _number(headers.get(name))) is not None:
            return milliseconds / 1000
    for wait in (_header(headers.get("retry-after", "")), *_in_fields(body), _in_words(str(body or ""))):
        if wait is not None:
            return wait
    return None


def _header(text: str) -> float | None:
    number = _number(text)
    return number if number is not None else _duration(text) or _until(text)


def _number(value: object) -> float | None:
    """A number of seconds that is not negative; infinite if it is too large for one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return float(text) if _NUMBER.fullmatch(text) and text.isascii() else None


def _until(text: str) -> float | None:
    """Seconds to a date, in either form of HTTP's or in ISO's."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text.strip())
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            return max(0.0, (date - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError, IndexError, OverflowError):
            continue
    return None


def _duration(text: str) -> float | None:
    """Seconds of a duration that a text begins with, such as 34s, 1m30s, 7.66 s or 2 hours."""
    total, at = None, 0
    while (part := _PART.match(text, at)) is not None:
        unit = next(name for name, _ in _UNITS if part[name])
        total, at = (total or 0.0) + float(part["number"]) * _SECONDS[unit], part.end()
    return total


def _in_fields(body: object, depth: int = _DEPTH) -> Iterator[float | None]:
    """What fields of an error's body say, however deep they are."""
    if isinstance(body, Mapping) and depth:
        for name, value in body.items():
            unit = _FIELDS.get(re.sub("[-_]", "", str(name)).lower())
            if unit is not None:
                number = _number(value)
                yield _duration(str(value)) if number is None else number * unit
            yield from _in_fields(value, depth - 1)
    elif isinstance(body, list | tuple) and depth:
        for value in body:
            yield from _in_fields(value, depth - 1)


def _in_words(text: str) -> float | None:
    """What the sentences of an error's message say."""
    for match in _ASKED.finditer(text):
        if (wait := _duration(text[match.end() : match.end() + 60])) is not None:
            return wait
    return None
