"""A conversation as the Messages API takes it, marked for its prompt cache."""

from collections.abc import Sequence
from typing import Any, Final

from steproute.core.solution import Prefix
from steproute.models.prompts import NOTHING_YET, Message, written

_CACHED: Final = {"cache_control": {"type": "ephemeral"}}


def conversation(messages: Sequence[Message], prefix: Prefix) -> dict[str, Any]:
    """A request's `system` and `messages`, marked where a prefix to be cached ends.

    Those are the instructions, the problem and the newest step: each step is a block of its own, so that what was
    cached at one step is read at the next. No block is blank and no prefill ends with white space: the API refuses
    both.
    """
    turns = [(each["role"], _blocks(each["content"], prefix)) for each in messages]
    system = turns.pop(0)[1] if turns[0][0] == "system" else []
    turns = [turn for turn in turns if turn[1]]
    parted = [blocks for _, blocks in turns if blocks[1:]] or [blocks for _, blocks in turns[1:]]
    for block in [*system, turns[0][1][0], *(blocks[-1] for blocks in parted[:1])]:
        block.update(_CACHED)
    said = {"messages": [{"role": role, "content": blocks} for role, blocks in turns]}
    return {**said, "system": system} if system else said


def _blocks(content: str, prefix: Prefix) -> list[dict[str, Any]]:
    """The content as it is, or where it ends with the steps so far, parted before each of them."""
    solution = written(prefix) or NOTHING_YET
    parts = [content]
    if content.endswith(solution):
        between = ["", *(prefix.separator for _ in prefix.steps[1:])]
        steps = [before + step.text for before, step in zip(between, prefix.steps, strict=False)] or [NOTHING_YET]
        parts = [content.removesuffix(solution), *steps]
        parts[-1] = parts[-1].rstrip()
    return [{"type": "text", "text": part} for part in parts if part.strip()]
