"""Each provider's answers and errors, over HTTP on loopback: text, reasoning, what is billed, why they end."""

import asyncio
import json
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.provider_shapes import SHAPES, Answer, Shape

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.anthropic.stream import message_events
from steproute.backends.http.connection import Server
from steproute.backends.http.providers import PROVIDERS, provider_at
from steproute.backends.http.stream import chunks
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.reasoning import TAGS
from steproute.core.errors import BackendError
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage

ANSWERS = {
    "plain": Answer(pieces=("2 + 3 ", "= 5.\n\n", "So ", "\\boxed{5}.")),
    "one piece": Answer(pieces=("2 + 3 = 5, so \\boxed{5}.",), output=12),
    "reasoning": Answer(pieces=("So ", "5."), thoughts=("Let me ", "see.\n\n", "Five."), output=40, reasoning=31),
    "cached": Answer(pieces=("So ", "5."), prompt=1000, read=900, output=5),
    "written": Answer(pieces=("So ", "5."), prompt=1000, read=600, written=300, output=5),
    "all cached": Answer(pieces=("Ünï—", "5 😀."), prompt=4000, read=3999, output=7),
    "cut off": Answer(pieces=("So we ", "have"), output=64, finish="length"),
}


class Serving(HostileServer):
    """Answers every request with one body."""

    def __init__(self, body: bytes, content_type: str = "text/event-stream") -> None:
        super().__init__(lambda request: None)
        self.body, self.content_type = body, content_type

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        head = f"HTTP/1.1 200 x\r\ncontent-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n\r\n"
        writer.write(head.encode() + self.body)
        await writer.drain()
        return True


def model_of(shape: Shape, url: str) -> OpenAiModel | AnthropicModel:
    server = Server(base_url=url, read_s=5)
    if shape.api == "anthropic":
        return AnthropicModel("m", AnthropicSettings(model="m", server=server, thinking="hide"))
    settings: dict[str, Any] = {"kind": shape.kind, "continuation": Continuation.INSTRUCT}
    return OpenAiModel("m", OpenAiSettings(model="m", server=server, **settings))


def ask(shape: Shape, body: bytes, content_type: str = "text/event-stream") -> tuple[Draft, Usage]:
    async def run() -> tuple[Draft, Usage]:
        async with Serving(body, content_type).running() as server:
            meter = Meter()
            prefix = Prefix(problem=Problem.ask(id="p", text="2 + 3?"))
            (draft,) = await model_of(shape, server.url).propose(prefix, 1, Sampling(max_tokens=64, stop=None), meter)
            return draft, meter.total

    return asyncio.run(run())


def reasoning_of(shape: Shape, body: bytes) -> str:
    async def run() -> str:
        async def pieces() -> Any:
            yield body

        if shape.api == "anthropic":
            return "".join([event.reasoning async for event in message_events(pieces())])
        return "".join([choice.reasoning async for chunk in chunks(pieces()) for choice in chunk.choices])

    return asyncio.run(run())


@pytest.mark.parametrize("form", ["stream", "document", "indented document"])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("provider", SHAPES)
def test_each_providers_answer_is_read_exactly(provider: str, answer: str, form: str) -> None:
    shape, given = SHAPES[provider], ANSWERS[answer]
    indent = 2 if form == "indented document" else None
    body = shape.body(given) if form == "stream" else json.dumps(shape.document(given), indent=indent).encode()
    draft, used = ask(shape, body, "text/event-stream" if form == "stream" else "application/json")
    assert draft.text == given.text
    assert draft.stop is (Stop.LENGTH if given.finish == "length" else Stop.END)
    assert draft.usage == used == shape.usage(given)
    if "thoughts" in shape.knows:
        assert reasoning_of(shape, body) == given.reasoning_text


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", ["", "data: ", "event: error\ndata: "])
@pytest.mark.parametrize("provider", SHAPES)
def test_each_providers_error_within_status_200_says_what_is_wrong(
    provider: str, before: str, indent: int | None
) -> None:
    shape = SHAPES[provider]
    if before and indent:
        return
    with pytest.raises(BackendError) as caught:
        ask(shape, (before + json.dumps(shape.error, indent=indent) + "\n\n").encode())
    assert f"{type(caught.value).__name__}: {caught.value}".startswith(shape.failure)


def test_the_tags_that_each_providers_models_write_are_known() -> None:
    written = {tags for each in PROVIDERS for tags in each.reasoning_tags}
    assert ("[THINK]", "[/THINK]") in written
    assert written <= set(TAGS)


def test_the_table_of_providers_knows_hosts_and_has_every_shape() -> None:
    assert {name.split(",")[0] for name in SHAPES} == {each.name for each in PROVIDERS}
    assert len({each.name for each in PROVIDERS}) == len(PROVIDERS)
    for host, name in (
        ("api.openai.com", "OpenAI"),
        ("me.openai.azure.com", "OpenAI"),
        ("API.Mistral.AI", "Mistral"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "Bedrock"),
        ("europe-west1-aiplatform.googleapis.com", "Gemini"),
    ):
        found = provider_at(host)
        assert found is not None
        assert found.name == name
    for host in ("notapi.openai.com.example", "evilopenrouter.ai", "127.0.0.1", "localhost", ""):
        assert provider_at(host) is None
