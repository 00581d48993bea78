"""A prompt that the context cannot hold, in the words of each provider, with the numbers that the message holds."""

from typing import Any

import pytest

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.http.connection import Connection, Server
from steproute.core.errors import BackendError, ContextOverflow, RateLimited, TransientError

HERE = Server(base_url="http://127.0.0.1:1/v1")
_LONG = "Please reduce the length of the messages or completion."

OVERFLOWS: list[tuple[str, int | None, int | None]] = [
    # OpenAI and Azure
    (
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8500 in the messages, "
        f"500 in the completion). {_LONG}",
        8192,
        8500,
    ),
    (
        "This model's maximum context length is 4097 tokens, however you requested 5120 tokens "
        "(5000 in your prompt; 120 "
        "for the completion). Please reduce your prompt; or completion length.",
        4097,
        5000,
    ),
    (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130501 tokens. "
        "Please reduce the length of the messages.",
        128000,
        130501,
    ),
    (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 310345 tokens. Please "
        "reduce the length of the messages.",
        272000,
        310345,
    ),
    (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        None,
        None,
    ),
    (
        "Invalid 'messages[1].content': string too long. Expected a string with maximum length 10485760, but got a "
        "string with length 10900000 instead.",
        None,
        None,
    ),
    # Anthropic
    ("prompt is too long: 215000 tokens > 200000 maximum", 200000, 215000),
    (
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
        "`max_tokens` and try again",
        200000,
        188240,
    ),
    # Gemini
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576, 1200000),
    ("The input token count exceeds the maximum number of tokens allowed 1048576.", 1048576, None),
    (
        "Unable to submit request because the input token count is 36040 but model only supports up to 32768. Reduce "
        "the input token count and try again.",
        32768,
        36040,
    ),
    # Grok
    (
        "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
        131072,
        136973,
    ),
    # Mistral
    ("Prompt contains 40125 tokens, too large for model with 32768 maximum context length", 32768, 40125),
    (
        "Prompt contains 40125 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        32768,
        40125,
    ),
    # DeepSeek
    (
        "This model's maximum context length is 131072 tokens. However, you requested 139264 tokens (135168 in the "
        f"messages, 4096 in the completion). {_LONG}",
        131072,
        135168,
    ),
    # Moonshot: what was requested is prompt and answer together
    ("Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)", 262144, None),
    ("Invalid request: Your request exceeded model token limit: 8192", 8192, None),
    # z.ai
    ("Prompt exceeds max length", None, None),
    # Together and TGI
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4092 "
        "`inputs` tokens and 512 "
        "`max_new_tokens`",
        4097,
        4092,
    ),
    ("Input validation error: `inputs` must have less than 1024 tokens. Given: 1600", 1024, 1600),
    # Groq
    (_LONG, None, None),
    # OpenRouter
    (
        "This endpoint's maximum context length is 131072 tokens. However, you requested about "
        "140000 tokens (139000 of "
        'text input, 1000 in the output). Please reduce the length of either one, or use the "middle-out" transform.',
        131072,
        139000,
    ),
    # Bedrock
    ("Input is too long for requested model.", None, None),
    ("The model returned the following errors: Input is too long for requested model.", None, None),
    ("Too many input tokens. Max input tokens: 8192, request input token count: 9000", 8192, 9000),
    # vLLM
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, "
        f"1000 in the completion). {_LONG}",
        4096,
        4000,
    ),
    (
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input "
        "tokens. Please reduce "
        "the length of the input messages.",
        4096,
        5000,
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context "
        "length is 4096 tokens "
        "and your request has 1000 input tokens (4000 > 4096 - 1000).",
        4096,
        1000,
    ),
    (
        "You passed 4097 input tokens and requested 100 output tokens. However, the model's "
        "context length is only 4096 "
        "tokens, resulting in a maximum input length of 3996 tokens. Please reduce the length of the input prompt.",
        4096,
        4097,
    ),
    (
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.",
        4096,
        5000,
    ),
    ("The prompt (total length 5000) is too long to fit into the model (context length 4096).", 4096, 5000),
    # SGLang
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096, 5000),
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You "
        "requested a total of 5000 "
        "tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
        4096,
        4000,
    ),
    # llama.cpp
    ("the request exceeds the available context size (4096 tokens), try increasing it", 4096, None),
    ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096, 5000),
    (
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        None,
        None,
    ),
    # Ollama
    ("the input length exceeds the context length", None, None),
    ("prompt too long; exceeded max context length by 900 tokens", None, None),
    # LM Studio
    (
        "The number of tokens to keep from the initial prompt is greater than the context length. "
        "Try to load the model "
        "with a larger context length, or provide a shorter input",
        None,
        None,
    ),
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
        "length of only 4096 tokens, which is not enough.",
        4096,
        5000,
    ),
    ("Reached context length of 4096 tokens with model that does not support overflow", 4096, None),
    # others
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.", 4081, 5000),
    ("The prompt is too long: 40000, model maximum context length: 32767", 32767, 40000),
    (f"{_LONG} Current length is 9000 while limit is 8192", 8192, 9000),
    ("Range of input length should be [1, 30720]", None, None),
    ("invalid params, context window exceeds limit (2013)", None, None),
    ("prompt token count of 150000 exceeds the limit of 128000", 128000, 150000),
    ("Prompt has 300,000 tokens, but the configured context size is 131,072 tokens", 131072, 300000),
    ("Request body too large for gpt-4o model. Max size: 8000 tokens.", 8000, None),
]
OTHERS = [
    "Invalid 'stop[0]': string too long. Expected at most 64 characters.",
    "Invalid 'user': string too long",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, "
    "whereas you provided 100000.",
    "max_tokens: 300000 > 64000, which is the maximum allowed number of output tokens for this model",
    "temperature: 3 exceeds the maximum of 2",
    "context deadline exceeded",
    "context canceled",
    "n must be at most 8",
    "'logprobs' is not supported with this model",
    "image too large",
    "The file is too large",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "stop: list too long, at most 4",
    "odd",
]
RATES = [
    "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 5000.",
    "Request too large for model on tokens per minute (TPM): Limit 6000, Requested 7000, "
    "please reduce your message size",
    "This request would exceed your organization's rate limit of 200000 input tokens per minute.",
    "Too many tokens per day, please wait before trying again.",
    "You exceeded your current quota, please check your plan.",
]


def error(status: int, message: str, **fields: Any) -> BackendError:
    return Connection("weak", HERE).errors.for_status(status, {"error": {"message": message, **fields}})


@pytest.mark.parametrize(("message", "context", "prompt"), OVERFLOWS)
def test_each_providers_words_are_known_with_their_numbers(
    message: str, context: int | None, prompt: int | None
) -> None:
    for connection in (Connection("weak", HERE), AnthropicConnection("weak", HERE)):
        for said in (message, f"Error code: 400 - {message}", message.upper() if prompt is None else message):
            failure = connection.errors.for_status(400, {"error": {"message": said}})
            assert isinstance(failure, ContextOverflow), said
        assert (failure.context_tokens, failure.prompt_tokens) == (context, prompt)


@pytest.mark.parametrize("status", [400, 413, 422, 500, 502, 503])
@pytest.mark.parametrize(("message", "context", "prompt"), OVERFLOWS[::7])
def test_a_full_context_is_known_whatever_status_it_has_and_in_a_stream(
    status: int, message: str, context: int | None, prompt: int | None
) -> None:
    within = Connection("weak", HERE).errors.in_body({"error": {"message": message}})
    for failure in (error(status, message), within):
        assert isinstance(failure, ContextOverflow)
        assert (failure.context_tokens, failure.prompt_tokens) == (context, prompt)


@pytest.mark.parametrize("message", OTHERS)
def test_other_limits_are_no_full_context(message: str) -> None:
    assert not isinstance(error(400, message), ContextOverflow | TransientError)


@pytest.mark.parametrize("message", RATES)
@pytest.mark.parametrize("status", [413, 429])
def test_the_tokens_of_a_minute_are_no_context(status: int, message: str) -> None:
    failure = error(status, message, type="tokens")
    assert type(failure) is (RateLimited if status == 429 else BackendError)


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "context_length_exceeded"},
        {"type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096},
        {"code": "1261"},
        {"code": "model_max_prompt_tokens_exceeded"},
        {"type": "ContextWindowExceededError"},
        {"code": "tokens_limit_reached"},
    ],
)
def test_an_error_named_so_is_a_full_context_whatever_it_says(fields: dict[str, Any]) -> None:
    failure = error(400, "no", **fields)
    assert isinstance(failure, ContextOverflow)
    assert (failure.context_tokens, failure.prompt_tokens) == (fields.get("n_ctx"), fields.get("n_prompt_tokens"))
