"""Requests of the other APIs as chat requests: whatever comes, it is translated or refused, and never a fault."""

from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import SteprouteError
from steproute.serve.body import read_object
from steproute.serve.errors import ApiError
from steproute.serve.face import chat_of
from steproute.serve.messages_request import NAMES as MESSAGES_NAMES
from steproute.serve.messages_request import MessagesRequest, read_messages_request
from steproute.serve.responses_request import NAMES as RESPONSES_NAMES
from steproute.serve.responses_request import ResponsesRequest, read_responses_request

WORDS = st.sampled_from(
    [
        "role",
        "type",
        "content",
        "text",
        "user",
        "assistant",
        "message",
        "function",
        "input_text",
        "input_image",
        "function_call",
        "call_id",
        "name",
        "function_call_output",
        "arguments",
        "output",
        "image_url",
        "tool_use",
        "tool_result",
        "tool_use_id",
        "input",
        "source",
        "base64",
        "url",
        "data",
        "media_type",
        "thinking",
        "id",
        "image",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)


def requests(kind: type[msgspec.Struct], **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(sorted({*kind.__struct_fields__, "invented"} - fixed.keys()))
    return st.dictionaries(names, JSON, max_size=4).map(lambda fields: {**fields, **fixed})


@given(st.lists(JSON, max_size=3), requests(ResponsesRequest, model="m"))
def test_any_input_is_translated_or_refused(items: list[Any], fields: dict[str, Any]) -> None:
    with suppress(ApiError):
        chat_of(read_responses_request({"input": items, **fields})[1], RESPONSES_NAMES)


@given(st.lists(JSON, max_size=3), requests(MessagesRequest, model="m", max_tokens=5))
def test_any_messages_are_translated_or_refused(turns: list[Any], fields: dict[str, Any]) -> None:
    with suppress(ApiError):
        chat_of(read_messages_request({"messages": turns, **fields})[1], MESSAGES_NAMES)


def content(*kinds: str) -> st.SearchStrategy[Any]:
    """Well-formed blocks with any values in their fields."""
    block = st.fixed_dictionaries({"type": st.sampled_from(kinds)}).flatmap(
        lambda typed: st.dictionaries(WORDS, JSON, max_size=6).map(lambda fields: {**fields, **typed})
    )
    return st.lists(block, min_size=1, max_size=3)


@given(content("text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"))
def test_any_block_is_translated_or_refused(blocks: list[Any]) -> None:
    fields = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": blocks}]}
    with suppress(ApiError):
        chat = chat_of(read_messages_request(fields)[1], MESSAGES_NAMES)
        _ = chat.wants_passthrough


@given(content("message", "function_call", "function_call_output", "reasoning", "input_text", "input_image"))
def test_any_item_is_translated_or_refused(items: list[Any]) -> None:
    turn = {"role": "user", "content": items}
    for given_input in (items, [turn]):
        with suppress(ApiError, SteprouteError):
            chat = chat_of(read_responses_request({"model": "m", "input": given_input})[1], RESPONSES_NAMES)
            _ = chat.wants_passthrough


def test_deep_json_is_refused() -> None:
    with suppress(ApiError):
        read_object(b'{"a":' + b"[" * 100_000)
