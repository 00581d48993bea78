"""Refusals of a request that is too long, and what they say about the room there is."""

import re
from typing import Final

_OVERFLOW: Final = re.compile(
    r"context.{0,20}(?:length|window|size|limit)|max_model_len|\b(?:prompt|input)\b[^:]{0,40}\btoo long", re.IGNORECASE
)
_BOTH: Final = re.compile(r"context limit: (?P<prompt>\d{1,9}) \+ \d+ > (?P<context>\d{1,9})")
_CONTEXT: Final = re.compile(r"(?:context (?:length|window|size)|max_model_len)\D{0,20}(?P<context>\d{1,9})")
_PROMPT: Final = re.compile(r"(?P<prompt>\d{1,9}) (?:in (?:the|your) (?:messages|prompt)|input tokens|prompt tokens)")


def tells_overflow(message: str) -> bool:
    """Whether a refusal's message is about a prompt that the context cannot hold."""
    return _OVERFLOW.search(message) is not None


def told(message: str) -> tuple[int | None, int | None]:
    """Tokens of the context and of the prompt; None for what the message does not say."""
    context, prompt = (_BOTH.search(message) or other.search(message) for other in (_CONTEXT, _PROMPT))
    return int(context["context"]) if context else None, int(prompt["prompt"]) if prompt else None
