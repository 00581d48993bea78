"""What is particular to each kind of OpenAI-compatible server: one table of facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from steproute.core.chat import LIMIT_FIELDS
from steproute.core.ports import Continuation

Kind = Literal["vllm", "sglang", "llama.cpp", "llama-cpp-python", "ollama", "openai"]
"""The kinds of servers, each a row of KINDS."""
_COMPLETIONS: Final = Continuation.COMPLETIONS
_INSTRUCT: Final = Continuation.INSTRUCT
_MAX_TOKENS, _MAX_COMPLETION_TOKENS = LIMIT_FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKind:
    """Facts of one kind of server.

    continuations: the modes that it has, in the order in which errors propose them.

    Prompts of `completions`. renders_template: how it renders its chat template, if it can: as tokens (`/tokenize`,
    then `/detokenize`) or as text (`/apply-template`). wraps_prompts: it puts its own template around every prompt.
    takes_special_tokens: it leaves a rendered prompt's special tokens to the client if `add_special_tokens` is false.

    Requests. chat_limit_field: what bounds a chat reply's tokens. takes_top_k: it samples by `top_k`. sampling_fields:
    what switches off its own defaults, sent with `top_k` in every request. reasoning_switch: how reasoning is switched
    off in a chat, if there is a common way. several: one request may ask for several answers. refuses_by_model: which
    fields it takes depends on provider and model.

    Replies. reports_stop: it says which stop string ended an answer. counts_pieces: it counts tokens in every piece.
    hides_reasoning: it may count reasoning at the end without sending it. breaks_off_silently: it breaks streams off
    without an error, for which `broken_off_hint` says what may help.
    """

    continuations: tuple[Continuation, ...]
    renders_template: Literal["tokens", "text"] | None = None
    wraps_prompts: bool = False
    takes_special_tokens: bool = False
    chat_limit_field: str = _MAX_TOKENS
    takes_top_k: bool = True
    sampling_fields: Mapping[str, float] = field(default_factory=dict)
    reasoning_switch: Literal["chat_template", "reasoning_effort"] | None = "chat_template"
    several: bool = True
    refuses_by_model: bool = False
    reports_stop: bool = False
    counts_pieces: bool = False
    hides_reasoning: bool = False
    breaks_off_silently: bool = False
    broken_off_hint: str = ""


_VLLM: Final = ServerKind(
    continuations=(_COMPLETIONS, Continuation.CONTINUE_FINAL_MESSAGE, _INSTRUCT),
    renders_template="tokens",
    takes_special_tokens=True,
    reports_stop=True,
    counts_pieces=True,
)
_LLAMA_SAMPLING: Final = {"min_p": 0.0, "repeat_penalty": 1.0}

KINDS: Final[Mapping[Kind, ServerKind]] = {
    "vllm": _VLLM,
    "sglang": _VLLM,
    "llama.cpp": ServerKind(
        continuations=(_COMPLETIONS, Continuation.PREFILL, _INSTRUCT),
        renders_template="text",
        sampling_fields=_LLAMA_SAMPLING,
    ),
    "llama-cpp-python": ServerKind(
        continuations=(_COMPLETIONS, _INSTRUCT),
        sampling_fields=_LLAMA_SAMPLING,
        reasoning_switch=None,
        several=False,
        breaks_off_silently=True,
        broken_off_hint=". Start the server with --interrupt_requests false, or each request ends the one before.",
    ),
    "ollama": ServerKind(
        continuations=(_COMPLETIONS, Continuation.PREFILL, _INSTRUCT),
        wraps_prompts=True,
        reasoning_switch="reasoning_effort",
    ),
    "openai": ServerKind(
        continuations=(_INSTRUCT, _COMPLETIONS),
        renders_template="text",  # gateways before servers that do
        chat_limit_field=_MAX_COMPLETION_TOKENS,
        takes_top_k=False,
        reasoning_switch=None,
        refuses_by_model=True,
        hides_reasoning=True,
    ),
}
