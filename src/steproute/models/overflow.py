"""What a server's refusal of a request that is too long says about the room there is."""

import re
from typing import Final

_BOTH: Final = re.compile(r"context limit: (?P<prompt>\d+) \+ \d+ > (?P<context>\d+)")
_CONTEXT: Final = re.compile(r"(?:context (?:length|window|size)|max_model_len)\D{0,20}(?P<context>\d+)")
_PROMPT: Final = re.compile(r"(?P<prompt>\d+) (?:in (?:the|your) (?:messages|prompt)|input tokens|prompt tokens)")


def told(message: str) -> tuple[int | None, int | None]:
    """Tokens of the context and of the prompt; None for what the message does not say."""
    context, prompt = (_BOTH.search(message) or other.search(message) for other in (_CONTEXT, _PROMPT))
    return int(context["context"]) if context else None, int(prompt["prompt"]) if prompt else None
