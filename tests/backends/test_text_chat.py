"""Chat requests to models that only write steps."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from steproute.backends.text_chat import TextChat, chat_model
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import BackendError, ConfigError, FieldRefused
from steproute.core.ports import ChatModel
from steproute.core.solution import Meter
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.story import generate

PROBLEM = next(iter(generate("test")))


def replies(meter: Meter | None = None, text: str = PROBLEM.text, **fields: Any) -> list[ChatDelta]:
    async def run() -> list[ChatDelta]:
        model = chat_model(LabModel("lab-strong"), LAB_SAMPLING)
        request = ChatRequest(messages=({"role": "user", "content": text},), fields=fields)
        async with aclosing(model.chat(request, meter)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(run())


def test_the_lab_answers_a_chat_request() -> None:
    meter = Meter()
    text, finish, last = replies(meter)
    assert "\\boxed{" in text.content
    assert finish == ChatDelta(finish_reason="stop")
    assert last.call is not None
    assert meter.calls == [last.call.usage]
    assert not last.call.usage.estimated


def test_a_seed_repeats_a_reply() -> None:
    assert replies(seed=-3)[0] == replies(seed=-3)[0]


def test_a_limit_ends_a_reply() -> None:
    _, finish, last = replies(max_completion_tokens=5)
    assert finish.finish_reason == "length"
    assert last.call is not None
    assert last.call.usage.output_tokens == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("stop", ["\n"]),
        ("n", 2),
        ("odd", 1),
    ],
)
def test_a_field_that_it_cannot_do_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(FieldRefused) as caught:
        replies(**{field: value})
    assert (caught.value.where, caught.value.fields) == (field, (field,))
    assert caught.value.remedy


def test_fields_that_change_nothing_are_taken() -> None:
    replies(model="x", stream=True, n=1, logprobs=False, tools=[], tool_choice="auto", presence_penalty=0, user="u")


def test_an_image_is_refused_by_its_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    request = ChatRequest(messages=({"role": "user", "content": [{"type": "text", "text": "Hi"}, image]},))

    async def run() -> None:
        async with aclosing(chat_model(LabModel("lab-weak")).chat(request)) as deltas:
            await anext(deltas)

    with pytest.raises(FieldRefused, match=r"messages\[0\]\.content\[1\]: lab-weak reads no image_url"):
        asyncio.run(run())


def test_wrong_values_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="temperature: 'hot' is no number"):
        replies(temperature="hot")
    with pytest.raises(ConfigError, match="seed: 0.5 is no number that it takes"):
        replies(seed=0.5)
    with pytest.raises(ConfigError, match=r"messages\[0\]: content is ''"):
        replies(text="")
    with pytest.raises(ConfigError, match="max_tokens: 0 is no whole number above 0"):
        replies(max_tokens=0)


def test_text_outside_the_labs_language_is_an_error() -> None:
    with pytest.raises(BackendError):
        replies(text="Bonjour.")


def test_a_model_that_chats_is_itself() -> None:
    text = chat_model(LabModel("lab-weak"))
    assert isinstance(text, TextChat)
    assert isinstance(text, ChatModel)
    assert chat_model(text) is text  # type: ignore[arg-type]
