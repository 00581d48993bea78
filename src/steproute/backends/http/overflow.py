"""Errors about a prompt that the context cannot hold, in the words of each provider, and the numbers in them."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from steproute.backends.http.json_fields import whole_number

_NAMES: Final = frozenset(
    {
        "1261",  # z.ai
        "context_length_exceeded",
        "context_limit_exceeded",
        "context_window_exceeded",
        "contextwindowexceedederror",
        "exceed_context_size_error",
        "input_too_long",
        "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded",
        "prompt_too_long",
        "tokens_limit_reached",
    }
)
_LIMITS_OF_A_RATE: Final = re.compile(
    r"rate.?limit|tokens? per (?:min|hour|day)|\btp[md]\b|per.minute|quota", re.IGNORECASE
)
_OVERFLOW: Final = re.compile(
    r"""
    context[ _](?:length|window|size|limit)
    | max_model_len | max(?:imum)?[ _](?:model|prompt|input)[ _]length (?!\ of\ \d+\ characters)
    | \b(?:prompt|input|messages?|request)\b [^:.]{0,60}? \b too\ (?:long|large)\b
    | \btoo\ (?:long|large)\b .{0,20} \bmodel\b .{0,20} \bcontext
    | messages\[\d+\]\.content .{0,20} string\ too\ long
    | (?:input|prompt)[ ]token[ ]count .{0,60}? (?:exceeds|supports)
    | (?:input|prompt)[ ]tokens? [ ] exceeds? \b
    | prompt[ ]exceeds [ ](?:the[ ])?max
    | exceed\w* [ ] model [ ] token [ ] limit
    | too [ ] many [ ] (?:input[ ]|prompt[ ])?tokens (?!\ per) (?: : | \. | [ ] in\b | $ )
    | (?:`inputs`|inputs?) .{0,30}? tokens? .{0,60}? (?:must\ be\ <=|must\ have\ less\ than)
    | `?inputs`?\ must\ have\ less\ than
    | reduce\ the\ length\ of\ the\ (?:input\ )?(?:messages|prompt|input)
    | range\ of\ input\ length
    | request\ body\ too\ large\ for .{0,60} tokens
    | context\ overflow | overflows?\ the\ context
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER: Final = r"(\d{1,3}(?:,\d{3})+|\d{1,10})"
_PAIRS: Final = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"context limit: (?P<prompt>#) \+ \d+ > (?P<context>#)",
        r"too long: (?P<prompt>#)(?: tokens)? > (?P<context>#)",
        r"too long: (?P<prompt>#), model maximum context length: (?P<context>#)",
        r"length is (?P<prompt>#) while limit is (?P<context>#)",
        r"must be <= (?P<context>#)\. Given: (?P<prompt>#) `?inputs",
        r"less than (?P<context>#) tokens\. Given: (?P<prompt>#)",
        r"cannot exceed (?P<context>#) - received (?P<prompt>#)",
        r"keep the first (?P<prompt>#) tokens .{0,80}?context length of only (?P<context>#)",
        r"token count of (?P<prompt>#) exceeds the limit of (?P<context>#)",
    )
)
_CONTEXT: Final = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"(?:context[ _](?:length|window|size|limit)|max_model_len|(?:model|prompt) length)"
        r"(?! exceeded| by | exceeds limit \()\D{0,25}(?P<context>#)",
        r"(?P<context>#)(?: tokens?)? (?:maximum )?context (?:length|window|size)",
        r"max(?:imum)?(?: number of)?(?: input)? tokens(?: allowed)?\D{0,6}(?P<context>#)",
        r"(?:model token limit|configured limit|only supports up to|max size)\D{0,8}(?P<context>#)",
    )
)
_PROMPT: Final = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"(?P<prompt>#)(?: tokens)? (?:in (?:the|your) (?:messages|prompt|input)|of text input|from the input)",
        r"(?P<prompt>#) (?:input|prompt|`inputs`) tokens",
        r"(?:request|prompt) (?:contains|has) (?P<prompt>#)",
        r"messages resulted in (?P<prompt>#)",
        r"token count\D{0,8}(?P<prompt>#)",
        r"(?:prompt|input|request) \((?:total )?(?:length )?(?P<prompt>#)",
    )
)


def is_overflow(message: str, names: tuple[str, ...] = ()) -> bool:
    """Whether an error is about a prompt that the context cannot hold, and not about the tokens of a minute."""
    if not _NAMES.isdisjoint(name.lower() for name in names):
        return True
    limits_a_rate = any("rate_limit" in name for name in names) or _LIMITS_OF_A_RATE.search(message)
    return not limits_a_rate and _OVERFLOW.search(message) is not None


def context_and_prompt(
    message: str, fields: Mapping[str, object] = MappingProxyType({})
) -> tuple[int | None, int | None]:
    """Tokens of the context and of the prompt, from `fields` of the error or its message; None for what neither says.

    Tokens of prompt and answer together are no count of the prompt.
    """
    counted = whole_number(fields.get("n_ctx")), whole_number(fields.get("n_prompt_tokens"))
    if None not in counted:
        return counted
    for pair in _PAIRS:
        if match := pair.search(message):
            return _count(match["context"]), _count(match["prompt"])
    return _first(_CONTEXT, message, "context"), _first(_PROMPT, message, "prompt")


def _first(patterns: tuple[re.Pattern[str], ...], message: str, name: str) -> int | None:
    first = next((match for pattern in patterns if (match := pattern.search(message))), None)
    return _count(first[name]) if first else None


def _count(text: str) -> int:
    return int(text.replace(",", ""))
