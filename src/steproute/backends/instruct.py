"""Continuation by instruction: problem and steps are quoted, and what comes next is asked for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from steproute.backends.prompts import COMPLETE, one_step_asked, rest_asked
from steproute.core.errors import BackendError
from steproute.core.problem import Message
from steproute.core.solution import Draft, Meter, ModelCall, Prefix, Sampling, Stop
from steproute.core.splitting import split_steps
from steproute.core.usage import Usage
from steproute.core.usage_bounds import TEMPLATE_TOKENS

Ask = Callable[[Sequence[Message], Sampling, Meter], Awaitable[list[Draft]]]
_TELLING: Final = 12


async def instructed(
    name: str, prefix: Prefix, instructions: str | None, sampling: Sampling, meter: Meter, ask: Ask
) -> list[Draft]:
    """What `ask` gets for the next step, or with no `sampling.stop` for all that is missing, of the model `name`.

    A reply that starts the solution over is sent back once, for what it left of the tokens; that call is on the draft
    as `sent_back`. Raises BackendError for a second one, and if no tokens are left.
    """
    one_step = sampling.stop is not None
    messages = (one_step_asked if one_step else rest_asked)(prefix, instructions)
    drafts = await ask(messages, sampling, meter.part())
    if one_step and not prefix.problem.rule.extracts:
        drafts = [_ended(draft) for draft in drafts]
    earlier = [step.text for step in prefix.steps]
    if not any(restarts(draft.text, earlier, prefix.separator) for draft in drafts):
        return drafts
    left = sampling.max_tokens - max(draft.usage.output_tokens for draft in drafts)
    if left > 0:
        correction = f"That is there already. Write step {len(earlier) + 1}, new text only."
        again = [*messages, {"role": "assistant", "content": drafts[0].text}, {"role": "user", "content": correction}]
        redone = await ask(again, replace(sampling, max_tokens=left), meter.part())
        if not any(restarts(draft.text, earlier, prefix.separator) for draft in redone):
            return [replace(new, sent_back=(_call(old),)) for old, new in zip(drafts, redone, strict=True)]
    raise BackendError(
        "its reply starts the solution over instead of going on.",
        where=name,
        remedy="Use a model that follows instructions, or a continuation mode that needs none.",
    )


def _ended(draft: Draft) -> Draft:
    """The draft; the end of the solution if it says only that."""
    return replace(draft, text="", stop=Stop.END) if draft.text.strip() == COMPLETE else draft


def instructed_bound(one: Usage) -> Usage:
    """The most that `instructed` uses if a first request uses `one` at most.

    The second one reads the first one's messages and its reply, and writes what the reply has left.
    """
    again = Usage(input_tokens=one.input_tokens + one.output_tokens + TEMPLATE_TOKENS)
    return one + again


def restarts(text: str, earlier: Sequence[str], separator: str) -> bool:
    """Whether a reply that should hold what comes next goes through the solution again, or repeats its newest step.

    It goes through the solution again if it begins with the first step, or if that is short or introduces something
    ("We are given:"), with the first two. Any other step may come back, since solutions restate formulas. `earlier`:
    the steps so far.
    """
    steps = [_plain(step) for step in earlier]
    whole, own = f"{_plain(text)} ", _plain(split_steps(text, separator)[0])
    if not steps or (len(own) >= _TELLING and own == steps[-1]):
        return bool(steps)
    if _tells(steps[0]) and whole.startswith(f"{steps[0]} "):
        return True
    first_two = "".join(f"{step} " for step in steps[:2])
    again = whole if steps[-1] != steps[0] else f"{steps[-1]} {whole}"
    return len(steps) > 2 and again.startswith(first_two)


def _tells(step: str) -> bool:
    """Whether a step that is there again can hardly be anything but the same place of the solution."""
    return len(step) >= _TELLING and not step.endswith(":")


def _call(draft: Draft) -> ModelCall:
    return ModelCall(usage=draft.usage, latency_s=draft.latency_s, request_id=draft.request_id)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
