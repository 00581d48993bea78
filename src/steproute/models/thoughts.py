"""Reasoning models' thoughts, which stand between `<think>` and `</think>` in what they write."""

import re
from typing import Final, Literal

Thinking = Literal["keep", "hide", "off"]
"""Thoughts are kept as steps, hidden and paid for, or switched off."""

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
_THOUGHT: Final = re.compile(f"{OPEN}.*?(?:{CLOSE}|$)", re.DOTALL)


def ends_in_thought(written: str) -> bool:
    """Whether what follows belongs to a thought of what a model has written."""
    return written.rfind(OPEN) > written.rfind(CLOSE)


def opens_thought(prompt: str) -> bool:
    """Whether a prompt, in which all may be told of thoughts, ends by opening one."""
    return prompt.rstrip().endswith(OPEN)


def without_thoughts(text: str, begins_in_thought: bool) -> str:
    """A text without its thoughts; one that is closed and was never opened begins where the text does."""
    before, closed, after = text.partition(CLOSE)
    if begins_in_thought or (closed and OPEN not in before):
        text = after
    return _THOUGHT.sub("", text)


def with_thought_closed(prompt: str, thinking: Thinking, begun: bool) -> str:
    """A prompt that ends in no thought where none is wanted: some chat templates open one, and the half-written answer
    that would follow holds steps alone where thoughts are hidden. `begun`: whether there are any steps."""
    if thinking == "keep" or (thinking == "hide" and not begun) or not opens_thought(prompt):
        return prompt
    return f"{prompt.rstrip()}\n\n{CLOSE}\n\n"
