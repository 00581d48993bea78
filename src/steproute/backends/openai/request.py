"""The fields of a request to an OpenAI-compatible server, in the words of its kind."""

import json
from typing import Any, Final

from steproute.backends.openai.settings import LIMITS, LOGPROBS, OpenAiSettings
from steproute.core.ports import Continuation
from steproute.core.solution import Sampling

_OPTIONAL: Final = frozenset(
    ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop", "stream_options", *LIMITS)
)
"""Fields without which a model still does its task."""


def request_fields(settings: OpenAiSettings, sampling: Sampling, n: int) -> dict[str, Any]:
    """All fields of a request beside the prompt or the messages, but those that are left out."""
    omitted, chat = settings.omitted, settings.continuation is not Continuation.COMPLETIONS
    fields = {**_common(settings, sampling, n, chat), **_particular(settings, sampling, chat)}
    limit = settings.facts.chat_limit_field if chat else LIMITS[0]
    (other,) = set(LIMITS) - {limit}
    fields[other if limit in omitted else limit] = sampling.max_tokens
    return {name: value for name, value in fields.items() if name not in omitted}


def template_variables(settings: OpenAiSettings) -> dict[str, object]:
    """Variables of a chat template beside the messages."""
    return {"enable_thinking": False} if settings.thinking == "off" else {}


def reasoning_switch(settings: OpenAiSettings) -> dict[str, Any]:
    """The fields of a chat request that switch reasoning off, if the settings do."""
    if settings.facts.reasoning_switch == "chat_template":
        return template_settings(settings)
    by_effort = settings.facts.reasoning_switch == "reasoning_effort" and settings.thinking == "off"
    return {"reasoning_effort": "none"} if by_effort else {}


def template_settings(settings: OpenAiSettings) -> dict[str, Any]:
    """The same as fields of a request."""
    variables = template_variables(settings)
    return {"chat_template_kwargs": variables} if variables else {}


def may_be_left_out(name: str, settings: OpenAiSettings) -> bool:
    """Whether a model does its task without this field."""
    return name in _OPTIONAL and (name not in LIMITS or not set(LIMITS) <= {name, *settings.omitted})


def remedy_for_refused(fields: tuple[str, ...]) -> str:
    """What to set if a server refuses these fields; nothing if it names none that can be left out."""
    if not fields:
        return ""
    if fields[0] in LOGPROBS:
        return "Set logprobs = 0: this model gives none."
    return f"Set omit = {json.dumps(fields)} in this model's table."


def _common(settings: OpenAiSettings, sampling: Sampling, n: int, chat: bool) -> dict[str, Any]:
    """Fields that all kinds of servers have."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed % 2**31,
        "stream_options": {"include_usage": True},
    }
    if n > 1:
        fields["n"] = n
    if sampling.stop is not None and settings.stop == "server":
        fields["stop"] = [sampling.stop]
    if settings.logprobs:
        fields |= {"logprobs": True, "top_logprobs": settings.logprobs} if chat else {"logprobs": settings.logprobs}
    if settings.facts.counts_pieces:
        fields["stream_options"]["continuous_usage_stats"] = True
    return fields


def _particular(settings: OpenAiSettings, sampling: Sampling, chat: bool) -> dict[str, Any]:
    """Fields that only some kinds of servers have."""
    facts = settings.facts
    fields: dict[str, Any] = {**facts.sampling_fields}
    if facts.takes_top_k and (facts.sampling_fields or sampling.top_k > 0):
        fields["top_k"] = sampling.top_k
    if chat:
        fields |= reasoning_switch(settings)
    elif settings.template != "none" and facts.takes_special_tokens:
        fields["add_special_tokens"] = False
    return fields
