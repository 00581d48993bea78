"""One answer in the shape of each provider: its stream, its whole JSON document and its errors.

The shapes are of our own writing, after the providers' documents.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from steproute.core.usage import Usage

Fields = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answers. prompt: all tokens read, of which `read` came from a cache and `written` went into one."""

    pieces: tuple[str, ...]
    thoughts: tuple[str, ...] = ()
    prompt: int = 20
    read: int = 0
    written: int = 0
    output: int = 9
    reasoning: int = 0
    finish: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def reasoning_text(self) -> str:
        return "".join(self.thoughts)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """stream: its events, a text being a line of its own. knows: which of an answer's fields it can tell.

    error, failure: an error's body, and the beginning of what a user is told.
    """

    stream: Callable[[Answer], list[Fields | str]]
    document: Callable[[Answer], Fields]
    error: object
    failure: str
    kind: str = "openai"
    api: str = "openai"
    knows: frozenset[str] = field(default=frozenset({"read", "reasoning", "thoughts"}))
    before: str = "data: "

    def usage(self, answer: Answer) -> Usage:
        """What an answer is billed as."""
        read, written = ((getattr(answer, name) if name in self.knows else 0) for name in ("read", "written"))
        return Usage(
            input_tokens=answer.prompt - read - written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=answer.output,
            reasoning_tokens=answer.reasoning if "reasoning" in self.knows else 0,
        )

    def body(self, answer: Answer) -> bytes:
        lines = [each if isinstance(each, str) else self.before + json.dumps(each) for each in self.stream(answer)]
        return "".join(f"{line}\n\n" for line in lines).encode()


def total(answer: Answer) -> Fields:
    return {
        "prompt_tokens": answer.prompt,
        "completion_tokens": answer.output,
        "total_tokens": answer.prompt + answer.output,
    }


def detailed(answer: Answer) -> Fields:
    return {
        **total(answer),
        "prompt_tokens_details": {"cached_tokens": answer.read},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }


def chunk(delta: Fields, finish: str | None = None, more: Fields | None = None, **top: Any) -> Fields:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **(more or {})}
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **top,
    }


def document(message: Fields, answer: Answer, usage: Fields, **top: Any) -> Fields:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": answer.finish}
    return {"id": "chatcmpl-7", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage, **top}


def plain(
    answer: Answer, thought: str = "reasoning_content", usage: Callable[[Answer], Fields] = detailed, **each: Any
) -> list[Fields | str]:
    """Role, reasoning, text, finish, counts and end mark as events of their own."""
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None, **each),
        *(chunk({thought: piece, "content": None}, usage=None, **each) for piece in answer.thoughts),
        *(chunk({"content": piece}, usage=None, **each) for piece in answer.pieces),
        chunk({}, answer.finish, usage=None, **each),
        {"id": "chatcmpl-7", "object": "chat.completion.chunk", "choices": [], "usage": usage(answer)},
        "data: [DONE]",
    ]


def with_finish(answer: Answer, usage: Fields, thought: str = "reasoning_content", **more: Any) -> list[Fields | str]:
    """The counts come in the event with the reason."""
    return [
        *(chunk({"role": "assistant", thought: piece}) for piece in answer.thoughts),
        *(chunk({"role": "assistant", "content": piece}) for piece in answer.pieces),
        chunk({"content": ""}, answer.finish, usage=usage, **more),
        "data: [DONE]",
    ]


def openai_stream(answer: Answer) -> list[Fields | str]:
    # Reasoning is counted and not sent; a field pads events to hide their lengths.
    return plain(Answer(**{**vars(answer), "thoughts": ()}), obfuscation="aX9")


def gemini_stream(answer: Answer) -> list[Fields | str]:
    count = len(answer.pieces)
    return [
        *(
            chunk(
                {"content": piece, "role": "assistant"},
                answer.finish if number == count else None,
                usage=gemini_usage(answer, answer.output - answer.reasoning if number == count else number),
            )
            for number, piece in enumerate(answer.pieces, start=1)
        ),
        "data: [DONE]",
    ]


def gemini_usage(answer: Answer, completion: int) -> Fields:
    whole = answer.prompt + completion + answer.reasoning
    return {"prompt_tokens": answer.prompt, "completion_tokens": completion, "total_tokens": whole}


def mistral_thought(piece: str) -> Fields:
    return {"type": "thinking", "thinking": [{"type": "text", "text": piece}], "closed": True}


def mistral_stream(answer: Answer) -> list[Fields | str]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": [mistral_thought(piece)]}) for piece in answer.thoughts),
        *(
            chunk({"content": [{"type": "text", "text": piece}] if answer.thoughts else piece})
            for piece in answer.pieces
        ),
        chunk({"content": ""}, answer.finish, usage=total(answer)),
        "data: [DONE]",
    ]


def mistral_document(answer: Answer) -> Fields:
    parts = [*map(mistral_thought, answer.thoughts), {"type": "text", "text": answer.text}]
    return document({"content": parts, "tool_calls": None}, answer, total(answer))


def deepseek_usage(answer: Answer) -> Fields:
    return {
        **total(answer),
        "prompt_cache_hit_tokens": answer.read,
        "prompt_cache_miss_tokens": answer.prompt - answer.read,
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }


def moonshot_usage(answer: Answer) -> Fields:
    return {**total(answer), "cached_tokens": answer.read}


def moonshot_stream(answer: Answer) -> list[Fields | str]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"reasoning_content": piece}) for piece in answer.thoughts),
        *(chunk({"content": piece}) for piece in answer.pieces),
        chunk({}, answer.finish, {"usage": moonshot_usage(answer)}),
        "data: [DONE]",
    ]


def together_stream(answer: Answer) -> list[Fields | str]:
    # Each piece is there twice, in the old field and in the new one.
    usage = {**total(answer), "cached_tokens": answer.read}
    return [
        *(
            chunk({"role": "assistant", "reasoning": piece, "content": ""}, None, {"text": ""})
            for piece in answer.thoughts
        ),
        *(
            chunk({"role": "assistant", "content": piece}, None, {"text": piece, "seed": None})
            for piece in answer.pieces
        ),
        chunk({"content": ""}, answer.finish, {"text": "", "seed": 9007199254740992}, usage=usage),
        "data: [DONE]",
    ]


def openrouter_usage(answer: Answer) -> Fields:
    details = {"cached_tokens": answer.read, "cache_write_tokens": answer.written, "audio_tokens": 0}
    return {**detailed(answer), "cost": 0.00015, "is_byok": False, "prompt_tokens_details": details}


def openrouter_stream(answer: Answer) -> list[Fields | str]:
    def thought(piece: str) -> Fields:
        details = [{"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}]
        return {"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": details}

    more = {"native_finish_reason": None, "logprobs": None}
    return [
        ": OPENROUTER PROCESSING",
        *(chunk(thought(piece), None, more, provider="X") for piece in answer.thoughts),
        ": OPENROUTER PROCESSING",
        *(chunk({"role": "assistant", "content": piece}, None, more, provider="X") for piece in answer.pieces),
        chunk({"role": "assistant", "content": ""}, answer.finish, {"native_finish_reason": "STOP"}),
        chunk({"role": "assistant", "content": ""}, None, more, usage=openrouter_usage(answer)),
        "data: [DONE]",
    ]


def groq_stream(answer: Answer) -> list[Fields | str]:
    usage = {**detailed(answer), "queue_time": 0.02, "prompt_time": 0.01, "total_time": 0.1}
    return [
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1", "seed": 5}),
        *(chunk({"reasoning": piece}) for piece in answer.thoughts),
        *(chunk({"content": piece}) for piece in answer.pieces),
        chunk({}, answer.finish, x_groq={"id": "req_1", "usage": usage}),
        "data: [DONE]",
    ]


def bedrock_usage(answer: Answer) -> Fields:
    cached = answer.read + answer.written
    return {
        "prompt_tokens": answer.prompt - cached,
        "completion_tokens": answer.output,
        "total_tokens": answer.prompt + answer.output,
        "cache_read_input_tokens": answer.read,
        "cache_creation_input_tokens": answer.written,
        "prompt_tokens_details": {"cached_tokens": answer.read},
    }


def vllm_stream(answer: Answer) -> list[Fields | str]:
    def used(count: int) -> Fields:
        return {
            "prompt_tokens": answer.prompt,
            "completion_tokens": count,
            "total_tokens": answer.prompt + count,
            "prompt_tokens_details": {"cached_tokens": answer.read},
        }

    first = len(answer.thoughts)
    return [
        chunk({"role": "assistant", "content": ""}, usage=used(0)),
        *(
            chunk({"reasoning": piece, "reasoning_content": piece}, usage=used(number))
            for number, piece in enumerate(answer.thoughts, start=1)
        ),
        *(chunk({"content": piece}, usage=used(number)) for number, piece in enumerate(answer.pieces, start=first + 1)),
        chunk({"content": ""}, answer.finish, {"stop_reason": None, "token_ids": None}, usage=used(answer.output)),
        {"id": "chatcmpl-7", "choices": [], "usage": used(answer.output)},
        "data: [DONE]",
    ]


def sglang_stream(answer: Answer) -> list[Fields | str]:
    usage = {**total(answer), "prompt_tokens_details": {"cached_tokens": answer.read}}
    return [
        chunk({"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None}, usage=None),
        *(chunk({"content": None, "reasoning_content": piece}, usage=None) for piece in answer.thoughts),
        *(chunk({"content": piece, "reasoning_content": None}, usage=None) for piece in answer.pieces),
        chunk({"content": None}, answer.finish, {"matched_stop": 151645}, usage=None),
        {"id": "7", "choices": [], "usage": {**usage, "reasoning_tokens": answer.reasoning}},
        "data: [DONE]",
    ]


def llama_cpp_stream(answer: Answer) -> list[Fields | str]:
    timings = {
        "cache_n": answer.read,
        "prompt_n": answer.prompt - answer.read,
        "prompt_ms": 12.5,
        "predicted_n": answer.output,
        "predicted_per_second": 40.25,
    }
    return [
        chunk({"role": "assistant", "content": None}, system_fingerprint="b1"),
        *(chunk({"reasoning_content": piece}) for piece in answer.thoughts),
        *(chunk({"content": piece}) for piece in answer.pieces),
        chunk({}, answer.finish, timings=timings),
        "data: [DONE]",
    ]


def xai_usage(answer: Answer) -> Fields:
    return {
        "prompt_tokens": answer.prompt,
        "completion_tokens": answer.output - answer.reasoning,
        "total_tokens": answer.prompt + answer.output,
        "prompt_tokens_details": {"text_tokens": answer.prompt, "cached_tokens": answer.read},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }


def named(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}"


def messages_usage(answer: Answer) -> Fields:
    return {
        "input_tokens": answer.prompt - answer.read - answer.written,
        "cache_read_input_tokens": answer.read,
        "cache_creation_input_tokens": answer.written,
    }


def messages_stop(answer: Answer) -> str:
    return {"stop": "end_turn", "length": "max_tokens"}[answer.finish]


def messages_output(answer: Answer) -> Fields:
    return {"output_tokens": answer.output, "output_tokens_details": {"thinking_tokens": answer.reasoning}}


def messages_stream(answer: Answer) -> list[Fields | str]:
    started = {"id": "msg_7", "type": "message", "role": "assistant", "content": [], "stop_reason": None}
    thinking: list[Fields | str] = [
        named("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        *(
            named("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": piece})
            for piece in answer.thoughts
        ),
        named("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "abc"}),
        named("content_block_stop", index=0),
    ]
    return [
        named("message_start", message={**started, "usage": {**messages_usage(answer), "output_tokens": 1}}),
        named("ping"),
        *(thinking if answer.thoughts else []),
        named("content_block_start", index=1, content_block={"type": "text", "text": ""}),
        *(
            named("content_block_delta", index=1, delta={"type": "text_delta", "text": piece})
            for piece in answer.pieces
        ),
        named("content_block_stop", index=1),
        named(
            "message_delta",
            delta={"stop_reason": messages_stop(answer), "stop_sequence": None},
            usage=messages_output(answer),
        ),
        named("message_stop"),
    ]


def messages_document(answer: Answer) -> Fields:
    thought = [{"type": "thinking", "thinking": answer.reasoning_text, "signature": "abc"}]
    return {
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "content": [*(thought if answer.thoughts else []), {"type": "text", "text": answer.text}],
        "stop_reason": messages_stop(answer),
        "usage": {**messages_usage(answer), **messages_output(answer)},
    }


def reasoned(name: str, usage: Callable[[Answer], Fields]) -> Callable[[Answer], Fields]:
    """A document whose message holds reasoning beside its text."""
    return lambda answer: document({"content": answer.text, name: answer.reasoning_text or None}, answer, usage(answer))


NO_DETAILS = frozenset({"thoughts"})
CACHED = frozenset({"read", "thoughts"})
SHAPES = {
    "OpenAI": Shape(
        stream=openai_stream,
        document=lambda answer: document({"content": answer.text, "annotations": []}, answer, detailed(answer)),
        error={"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        failure="RateLimited: m: status 429: slow down",
        knows=frozenset({"read", "reasoning"}),
    ),
    "Anthropic": Shape(
        stream=messages_stream,
        document=messages_document,
        error={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
        failure="BackendUnavailable: m: status 529: Overloaded",
        api="anthropic",
        knows=frozenset({"read", "written", "reasoning", "thoughts"}),
    ),
    "Anthropic, as OpenAI's API": Shape(
        stream=lambda answer: plain(answer, usage=total),
        document=reasoned("reasoning_content", total),
        error={"error": {"code": "invalid_request_error", "message": "bad", "type": "invalid_request_error"}},
        failure="BackendError: m: status 400: bad",
        knows=NO_DETAILS,
    ),
    "Gemini": Shape(
        stream=gemini_stream,
        document=lambda answer: document(
            {"content": answer.text}, answer, gemini_usage(answer, answer.output - answer.reasoning)
        ),
        error=[{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}],
        failure="RateLimited: m: status 429: slow down",
        knows=frozenset({"reasoning"}),
    ),
    "Mistral": Shape(
        stream=mistral_stream,
        document=mistral_document,
        error={"object": "error", "message": {"detail": [{"msg": "extra field"}]}, "type": "invalid_request_error"},
        failure="BackendError: m: status 400: extra field",
        knows=NO_DETAILS,
    ),
    "DeepSeek": Shape(
        stream=lambda answer: [": keep-alive", *plain(answer, usage=deepseek_usage)],
        document=reasoned("reasoning_content", deepseek_usage),
        error={"error": {"message": "no such model", "type": "invalid_request_error", "param": None, "code": None}},
        failure="BackendError: m: status 400: no such model",
    ),
    "Moonshot": Shape(
        stream=moonshot_stream,
        document=reasoned("reasoning_content", moonshot_usage),
        error={"error": {"message": "overloaded", "type": "engine_overloaded_error"}},
        failure="BackendUnavailable: m: status 529: overloaded",
        knows=CACHED,
    ),
    "z.ai": Shape(
        stream=lambda answer: with_finish(answer, detailed(answer)),
        document=reasoned("reasoning_content", detailed),
        error={"error": {"code": "1302", "message": "too many at once"}},
        failure="RateLimited: m: status 429: too many at once",
    ),
    "Together": Shape(
        stream=together_stream,
        document=reasoned("reasoning", moonshot_usage),
        error={"id": "o1", "error": {"message": "bad", "type": "invalid_request_error", "param": "n", "code": None}},
        failure="BackendError: m: status 400: bad",
        knows=CACHED,
    ),
    "OpenRouter": Shape(
        stream=openrouter_stream,
        document=reasoned("reasoning", openrouter_usage),
        error={
            "error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "gone"}},
            "user_id": "u",
        },
        failure="BackendUnavailable: m: status 502: Provider returned error (its provider: gone)",
        knows=frozenset({"read", "written", "reasoning", "thoughts"}),
    ),
    "Groq": Shape(
        stream=groq_stream,
        document=reasoned("reasoning", detailed),
        error={"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}},
        failure="RateLimited: m: status 429: slow down",
    ),
    "Bedrock, a gateway": Shape(
        stream=lambda answer: plain(answer, usage=bedrock_usage),
        document=reasoned("reasoning_content", bedrock_usage),
        error={"detail": "An error occurred (ThrottlingException)", "__type": "ThrottlingException"},
        failure="RateLimited: m: status 429: An error occurred (ThrottlingException)",
        knows=frozenset({"read", "written", "thoughts"}),
    ),
    "vLLM": Shape(
        stream=vllm_stream,
        document=reasoned("reasoning", lambda answer: {**detailed(answer), "completion_tokens_details": None}),
        error={"object": "error", "message": "bad", "type": "BadRequestError", "param": None, "code": 400},
        failure="BackendError: m: status 400: bad",
        kind="vllm",
        knows=CACHED,
    ),
    "SGLang": Shape(
        stream=sglang_stream,
        document=reasoned(
            "reasoning_content", lambda answer: {**detailed(answer), "reasoning_tokens": answer.reasoning}
        ),
        error={"object": "error", "message": "bad", "type": "BadRequest", "param": None, "code": 400},
        failure="BackendError: m: status 400: bad",
        kind="sglang",
    ),
    "llama.cpp": Shape(
        stream=llama_cpp_stream,
        document=reasoned("reasoning_content", lambda answer: {**detailed(answer), "completion_tokens_details": None}),
        error={"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        failure="BackendUnavailable: m: status 503: Loading model",
        kind="llama.cpp",
        knows=CACHED,
    ),
    "Ollama": Shape(
        stream=lambda answer: plain(answer, "reasoning", total, system_fingerprint="fp_ollama"),
        document=reasoned("reasoning", total),
        error={"error": {"message": "model 'm' not found", "type": "not_found_error", "param": None, "code": None}},
        failure="BackendError: m: status 404: model 'm' not found",
        kind="ollama",
        knows=NO_DETAILS,
    ),
    "LM Studio": Shape(
        stream=lambda answer: plain(
            answer,
            "reasoning",
            lambda each: {**total(each), "completion_tokens_details": {"reasoning_tokens": each.reasoning}},
        ),
        document=reasoned(
            "reasoning", lambda each: {**total(each), "completion_tokens_details": {"reasoning_tokens": each.reasoning}}
        ),
        error={"error": "No models loaded. Load a model."},
        failure="BackendUnavailable: m: status 500: No models loaded. Load a model.",
        knows=frozenset({"reasoning", "thoughts"}),
    ),
    "TGI": Shape(
        stream=lambda answer: plain(Answer(**{**vars(answer), "thoughts": ()}), usage=total),
        document=lambda answer: document({"content": answer.text}, answer, total(answer)),
        error={"error": "Model is overloaded", "error_type": "overloaded"},
        failure="BackendUnavailable: m: status 503: Model is overloaded",
        knows=frozenset(),
        before="data:",
    ),
    "xAI": Shape(
        stream=lambda answer: plain(answer, usage=xai_usage),
        document=reasoned("reasoning_content", xai_usage),
        error={"code": "400", "error": "Incorrect request"},
        failure="BackendError: m: status 400: Incorrect request",
    ),
}
