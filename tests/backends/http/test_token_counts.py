"""Token counts by the names of all servers: each token on the right line of the bill."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.backends.http.token_counts import TokenCounts
from steproute.core.usage import Usage


def billed(usage: dict[str, Any]) -> Usage | None:
    counts = TokenCounts.of(usage)
    return counts.input + counts.output if counts.input is not None and counts.output is not None else None


def total(prompt: int, completion: int, more: int = 0, **further: Any) -> dict[str, Any]:
    whole = prompt + completion + more
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": whole, **further}


HIT = {"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}
CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    # uncached, cached, written, output, reasoning
    "OpenAI": (total(1000, 5, prompt_tokens_details={"cached_tokens": 900}), (100, 900, 0, 5, 0)),
    "OpenAI, nothing cached": (total(1000, 5, prompt_tokens_details={"cached_tokens": 0}), (1000, 0, 0, 5, 0)),
    "null details": (
        total(1000, 5, prompt_tokens_details=None, completion_tokens_details=None),
        (1000, 0, 0, 5, 0),
    ),
    "Responses": (
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 900},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 30},
            "total_tokens": 1040,
        },
        (100, 900, 0, 40, 30),
    ),
    "DeepSeek": (total(1000, 5, **HIT), (100, 900, 0, 5, 0)),
    "DeepSeek, both names": (total(1000, 5, **HIT, prompt_tokens_details={"cached_tokens": 900}), (100, 900, 0, 5, 0)),
    "DeepSeek without a prompt": ({**HIT, "completion_tokens": 5}, (100, 900, 0, 5, 0)),
    "Moonshot": (total(1000, 5, cached_tokens=900), (100, 900, 0, 5, 0)),
    "Anthropic": (
        {"input_tokens": 100, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 5},
        (100, 900, 50, 5, 0),
    ),
    "Anthropic, few cached": (
        {"input_tokens": 1000, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0, "output_tokens": 5},
        (1000, 90, 0, 5, 0),
    ),
    "Anthropic, caches by lifetime": (
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 900,
            "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 5,
        },
        (100, 900, 50, 5, 0),
    ),
    "a gateway to Anthropic, within the prompt": (
        total(1050, 5, cache_read_input_tokens=900, cache_creation_input_tokens=50),
        (100, 900, 50, 5, 0),
    ),
    "a gateway's details of what was written": (
        total(1050, 5, prompt_tokens_details={"cached_tokens": 900, "cache_creation_tokens": 50}),
        (100, 900, 50, 5, 0),
    ),
    "OpenRouter": (
        total(1050, 5, prompt_tokens_details={"cached_tokens": 900, "cache_write_tokens": 50}),
        (100, 900, 50, 5, 0),
    ),
    "Bedrock's own names": (
        {
            "inputTokens": 100,
            "outputTokens": 5,
            "totalTokens": 1055,
            "cacheReadInputTokens": 900,
            "cacheWriteInputTokens": 50,
        },
        (100, 900, 50, 5, 0),
    ),
    "a gateway to Bedrock": (
        total(100, 5, 900, cache_read_input_tokens=900, prompt_tokens_details={"cached_tokens": 900}),
        (100, 900, 0, 5, 0),
    ),
    "a gateway to Bedrock, much cached": (
        total(100, 5, 10536, prompt_tokens_details={"cached_tokens": 10536}),
        (100, 10536, 0, 5, 0),
    ),
    "a gateway to Bedrock, read and written": (
        total(1000, 5, 950, cache_read_input_tokens=900, cache_creation_input_tokens=50),
        (1000, 900, 50, 5, 0),
    ),
    "a gateway to Bedrock, written within": (
        total(1000, 5, 900, cache_read_input_tokens=900, cache_creation_input_tokens=50),
        (950, 900, 50, 5, 0),
    ),
    "a gateway without cached tokens in its total": (total(100, 5, cache_read_input_tokens=900), (100, 900, 0, 5, 0)),
    "cached beside the prompt, reasoning beside the completion": (
        total(1000, 5, 930, cache_read_input_tokens=900, completion_tokens_details={"reasoning_tokens": 30}),
        (1000, 900, 0, 35, 30),
    ),
    "as many cached as reasoning": (
        total(1000, 5, 900, cached_tokens=900, completion_tokens_details={"reasoning_tokens": 900}),
        (100, 900, 0, 905, 900),
    ),
    "as many cached as reasoning, which is less than the text": (
        total(1000, 50, 5, cached_tokens=5, completion_tokens_details={"reasoning_tokens": 5}),
        (995, 5, 0, 55, 5),
    ),
    "as many cached beside the prompt as reasoning within": (
        total(1000, 50, 5, cache_read_input_tokens=5, completion_tokens_details={"reasoning_tokens": 5}),
        (1000, 5, 0, 50, 5),
    ),
    "Gemini": (total(1000, 5, 30), (1000, 0, 0, 35, 30)),
    "Gemini's own names": (
        {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 900,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 30,
            "totalTokenCount": 1035,
        },
        (100, 900, 0, 35, 30),
    ),
    "xAI": (total(1000, 5, 30, completion_tokens_details={"reasoning_tokens": 30}), (1000, 0, 0, 35, 30)),
    "reasoning in no total": (total(1000, 5, completion_tokens_details={"reasoning_tokens": 30}), (1000, 0, 0, 35, 30)),
    "reasoning within": (total(1000, 40, completion_tokens_details={"reasoning_tokens": 30}), (1000, 0, 0, 40, 30)),
    "SGLang": (total(1000, 40, reasoning_tokens=30), (1000, 0, 0, 40, 30)),
    "no total": ({"prompt_tokens": 1000, "completion_tokens": 5}, (1000, 0, 0, 5, 0)),
    "no completion": ({"prompt_tokens": 1000, "total_tokens": 1005}, (1000, 0, 0, 5, 0)),
    "no prompt": ({"completion_tokens": 5, "total_tokens": 1005}, (1000, 0, 0, 5, 0)),
    "null": (total(1000, 5, cached_tokens=None, reasoning_tokens=None), (1000, 0, 0, 5, 0)),
    "other types": (
        {"prompt_tokens": 1000.0, "completion_tokens": "5", "cached_tokens": " 900 "},
        (100, 900, 0, 5, 0),
    ),
    "types that are no numbers": (
        total(1000, 5, cached_tokens="many", reasoning_tokens=[], prompt_tokens_details="x"),
        (1000, 0, 0, 5, 0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_token_is_on_the_right_line(name: str) -> None:
    usage, counts = CASES[name]
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    assert replace(billed(usage), cache_write_1h_tokens=0) == Usage(**dict(zip(names, counts, strict=True)))


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -3, "completion_tokens": 10},
        {"prompt_tokens": 3, "completion_tokens": -10},
        total(100, 5, cached_tokens=-1),
        {"prompt_tokens": 10**12, "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": "many", "completion_tokens": 5.5},
    ],
)
def test_what_can_be_no_counts_is_none(usage: dict[str, Any]) -> None:
    assert billed(usage) is None


@given(
    uncached=st.integers(1, 5000),
    read=st.integers(0, 20000),
    written=st.integers(0, 900),
    text=st.integers(1, 900),
    reasoning=st.integers(0, 900),
    beside=st.booleans(),
    spread=st.booleans(),
)
def test_the_bill_adds_up_whether_cached_tokens_are_within_the_prompt_or_beside_it(
    uncached: int, read: int, written: int, text: int, reasoning: int, beside: bool, spread: bool
) -> None:
    prompt = uncached if beside else uncached + read + written
    usage = total(prompt, text + reasoning, read + written if beside else 0)
    usage |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written, "reasoning_tokens": reasoning}
    counts = TokenCounts.of(usage)
    if spread:
        parts = [TokenCounts.of({name: value}) for name, value in usage.items()]
        counts = TokenCounts()
        for part in parts:
            counts = counts.updated(part)
    bill = Usage(input_tokens=uncached, cache_read_tokens=read, cache_write_tokens=written)
    assert counts.input == bill
    assert counts.output == Usage(output_tokens=text + reasoning, reasoning_tokens=reasoning)
