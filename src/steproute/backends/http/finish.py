"""Why an answer ended, in the words of all servers."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from steproute.core.errors import BackendError, BackendUnavailable


class Ending(Enum):
    """What ended an answer."""

    REGULAR = auto()
    TOOL_CALLS = auto()
    LENGTH = auto()
    CONTEXT = auto()
    FILTERED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


_WORDS: Final[Mapping[Ending, str]] = {
    Ending.REGULAR: (
        "stop stopped stop_sequence stop_string stop_string_found stop_token stop_word eos eos_token eos_found "
        "eot eot_token end_of_text end_of_turn end_turn end_token end complete completed finish finished done "
        "success normal"
    ),
    Ending.TOOL_CALLS: "tool_calls tool_call tool_use function_call function_calls",
    Ending.LENGTH: (
        "length max_tokens max_token max_length max_output_tokens max_completion_tokens max_new_tokens "
        "max_tokens_reached max_predicted_tokens_reached length_limit token_limit limit"
    ),
    Ending.CONTEXT: (
        "model_length model_context_window_exceeded context_window_exceeded context_length_exceeded context_length "
        "context_length_reached max_context_length context_limit context_full context_overflow error_limit"
    ),
    Ending.FILTERED: (
        "content_filter content_filtered sensitive safety image_safety blocklist prohibited_content spii recitation "
        "language guardrail guardrail_intervened guardrails blocked moderation content_moderation "
        "content_policy_violation policy_violation error_toxic"
    ),
    Ending.REFUSED: "refusal refused",
}
_ENDINGS: Final = {word.replace("_", ""): ending for ending, words in _WORDS.items() for word in words.split()}
_FINISH_REASONS: Final = {
    Ending.REGULAR: "stop",
    Ending.TOOL_CALLS: "tool_calls",
    Ending.LENGTH: "length",
    Ending.CONTEXT: "length",
    Ending.FILTERED: "content_filter",
    Ending.REFUSED: "content_filter",
}
_PREFIX: Final = re.compile("^.*[.:]|^finish_?reason_?", re.IGNORECASE)


def ending_of(reason: str) -> Ending:
    """What a server's word means in any spelling, such as `MAX_TOKENS`, `maxTokens` or `FinishReason.MAX_TOKENS`."""
    letters = re.sub("[^a-z]", "", _PREFIX.sub("", reason.strip()).lower())
    return _ENDINGS.get(letters, Ending.UNKNOWN)


def finish_reason(reason: str) -> str:
    """A server's word as OpenAI's chat API has it; an unknown word stays as it is."""
    return _FINISH_REASONS.get(ending_of(reason), reason)


def check_finish(name: str, reason: str, hint: str = "", field: str = "finish_reason") -> None:
    """Raises BackendUnavailable for an answer that ended early or for no regular reason, BackendError for a refusal and
    for a call to a tool.

    hint: what may help against a stream that breaks off.
    """
    if not reason:
        raise BackendUnavailable(f"the stream broke off before the answer was complete{hint}", where=name)
    match ending_of(reason):
        case Ending.FILTERED:
            raise BackendError(
                f"the server's content filter stopped the answer ({field} {reason!r}).",
                where=name,
                remedy="Use another model for this problem, or change what the filter takes offence at.",
            )
        case Ending.REFUSED:
            raise BackendError(
                f"the model refuses to answer ({field} {reason!r}).",
                where=name,
                remedy="Use another model for this problem.",
            )
        case Ending.TOOL_CALLS:
            raise BackendError(
                f"the model calls a tool ({field} {reason!r}), and step routing works on text steps.",
                where=name,
                remedy="Send the request by a passthrough route, or remove the problem's tools.",
            )
        case Ending.UNKNOWN:
            raise BackendUnavailable(f"the answer ended by {reason.lower()!r}, which is no regular end", where=name)
