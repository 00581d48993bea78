"""What is particular to each provider of an OpenAI-compatible API: one table of facts."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

Tags = tuple[str, str]
"""What opens and closes reasoning within a model's text."""

THINK: Final[Tags] = ("<think>", "</think>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider or server program.

    hosts: ends of the host names of its addresses, empty for programs that run anywhere. refused_fields: fields of our
    requests that it answers with an error. refused_by_models: the same for some of its models, by a pattern that the
    beginning of the model's name matches. reasoning_tags: the tags around reasoning that its models write into their
    text, if any.
    """

    name: str
    hosts: tuple[str, ...] = ()
    refused_fields: tuple[str, ...] = ()
    refused_by_models: tuple[tuple[str, tuple[str, ...]], ...] = ()
    reasoning_tags: tuple[Tags, ...] = ()


PROVIDERS: Final = (
    Provider(
        name="OpenAI",
        hosts=("api.openai.com", "openai.azure.com"),
        refused_by_models=(
            (r"(?:o\d|gpt-5(?!\.|-chat))", ("temperature", "top_p", "stop", "logprobs", "top_logprobs")),
            (r"gpt-5\.\d+(?!.*-chat)", ("stop",)),
        ),
    ),
    Provider(name="Anthropic", hosts=("api.anthropic.com",), refused_fields=("seed", "logprobs", "top_logprobs")),
    Provider(
        name="Gemini",
        hosts=("generativelanguage.googleapis.com", "aiplatform.googleapis.com"),
        refused_fields=("seed",),
        reasoning_tags=(("<thought>", "</thought>"),),
    ),
    Provider(
        name="Mistral",
        hosts=("api.mistral.ai",),
        refused_fields=("seed", "stream_options", "max_completion_tokens", "logprobs", "top_logprobs"),
        reasoning_tags=(("[THINK]", "[/THINK]"),),
    ),
    Provider(name="DeepSeek", hosts=("api.deepseek.com",)),
    Provider(name="Moonshot", hosts=("api.moonshot.ai", "api.moonshot.cn")),
    Provider(name="z.ai", hosts=("api.z.ai", "open.bigmodel.cn")),
    Provider(name="Together", hosts=("api.together.xyz", "api.together.ai"), reasoning_tags=(THINK,)),
    Provider(name="OpenRouter", hosts=("openrouter.ai",)),
    Provider(
        name="Groq",
        hosts=("api.groq.com",),
        refused_fields=("logprobs", "top_logprobs"),
        reasoning_tags=(THINK,),
    ),
    Provider(name="xAI", hosts=("api.x.ai",)),
    Provider(name="Bedrock", hosts=("amazonaws.com",), reasoning_tags=(("<reasoning>", "</reasoning>"),)),
    Provider(name="vLLM", reasoning_tags=(THINK,)),
    Provider(name="SGLang", reasoning_tags=(THINK,)),
    Provider(name="llama.cpp", reasoning_tags=(THINK,)),
    Provider(name="Ollama", reasoning_tags=(THINK,)),
    Provider(name="LM Studio", reasoning_tags=(THINK,)),
    Provider(name="TGI", reasoning_tags=(THINK,)),
)


def provider_at(host: str) -> Provider | None:
    """The hosted provider whose addresses end as `host` does, None if it is not in the table."""
    name = host.lower().rstrip(".")
    return next((each for each in PROVIDERS if any(_is_at(name, end) for end in each.hosts)), None)


@cache
def refused_by(host: str, model: str) -> tuple[str, ...]:
    """Fields of our requests that a provider's model is known to answer with an error."""
    provider = provider_at(host)
    if provider is None:
        return ()
    by_model = (fields for names, fields in provider.refused_by_models if re.match(names, model))
    return tuple(dict.fromkeys((*provider.refused_fields, *chain.from_iterable(by_model))))


def _is_at(host: str, end: str) -> bool:
    return host == end or host.endswith((f".{end}", f"-{end}"))
