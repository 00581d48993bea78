"""Streams in any provider's shape, cut and spelled at random: read exactly, or one clear error and an exact bill."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from tests.backends.http.provider_shapes import SHAPES, Answer, Shape

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.connection import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage

EXAMPLES = int(os.environ.get("STEPROUTE_FUZZ_EXAMPLES", "150"))
MOST = 400
LIMITS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
PREFIX = Prefix(problem=Problem.ask(id="p", text="2 + 3?"))


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


class Wire(httpx2.AsyncBaseTransport):
    """Answers with exactly the given pieces, which a socket would join and part as it likes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(self.pieces))


class Client:
    """Models of every shape over one wire; clients are made once, since that takes longer than an answer."""

    def __init__(self) -> None:
        self.loop, self.wire = asyncio.new_event_loop(), Wire()
        self.models = {name: self._model(shape) for name, shape in SHAPES.items()}

    def _model(self, shape: Shape) -> OpenAiModel | AnthropicModel:
        server, http = Server(base_url="http://127.0.0.1:1/v1"), httpx2.AsyncClient(transport=self.wire)
        model: OpenAiModel | AnthropicModel
        if shape.api == "anthropic":
            import anthropic

            model = AnthropicModel("m", AnthropicSettings(model="m", server=server, thinking="hide"))
            model.connection._clients[self.loop] = anthropic.AsyncAnthropic(
                base_url="http://127.0.0.1:1", api_key="-", max_retries=0, http_client=http
            )
            return model
        chosen: dict[str, Any] = {"kind": shape.kind, "continuation": Continuation.INSTRUCT}
        model = OpenAiModel("m", OpenAiSettings(model="m", server=server, **chosen))
        model.connection._clients[self.loop] = AsyncOpenAI(
            base_url="http://127.0.0.1:1/v1", api_key="-", max_retries=0, http_client=http
        )
        return model

    def ask(self, provider: str, pieces: list[bytes]) -> tuple[Draft | None, str, Usage]:
        """The draft, or the error as text, and the bill; any error that is no BackendError is a failure of the test."""
        self.wire.pieces, meter = pieces, Meter()
        sampling = Sampling(max_tokens=MOST, stop=None)
        try:
            (draft,) = self.loop.run_until_complete(self.models[provider].propose(PREFIX, 1, sampling, meter))
        except BackendError as failure:
            return None, str(failure), meter.total
        return draft, "", meter.total


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.loop.close()


_CHARACTERS = st.sampled_from([*list("abc 12=+\\{}\"'\n\r\t:,."), "é", "—", "数", "😀", "\u2028", "\x85"])
_PIECE = st.text(_CHARACTERS, min_size=1, max_size=12) | st.sampled_from(["data: ", "\n\ndata: [DONE]\n\n", "[DONE]"])


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer whose counts could be those of its pieces."""
    begins = draw(st.lists(st.sampled_from(["\n", " ", "\t", "\r\n", " \n"]), max_size=3)) if draw(_RARELY) else []
    pieces = [*begins, "x" + draw(_PIECE), *draw(st.lists(_PIECE, max_size=5))]
    thoughts = draw(st.lists(_PIECE, max_size=4))
    least = len(pieces) + len(thoughts)
    reasoning = draw(st.integers(len(thoughts), 60)) if thoughts else 0
    read, written, uncached = draw(st.integers(0, 9999)), draw(st.integers(0, 999)), draw(st.integers(1, 9999))
    return Answer(
        pieces=tuple(pieces),
        thoughts=tuple(thoughts),
        prompt=uncached + read + written,
        read=read,
        written=written,
        output=draw(st.integers(least, MOST - 60)) + reasoning,
        reasoning=reasoning,
        finish=draw(st.sampled_from(["stop", "length"])),
    )


def respelled(value: object, draw: st.DrawFn) -> object:
    """The same JSON as another server may write it: null for what is empty, floats and texts for whole numbers."""
    if isinstance(value, dict):
        fields = {name: respelled(held, draw) for name, held in value.items()}
        names = draw(st.permutations(list(fields))) if len(fields) < 4 else list(fields)
        return {name: fields[name] for name in names} | ({"further": [None, {}]} if draw(_RARELY) else {})
    if isinstance(value, list):
        return None if not value and draw(_RARELY) else [respelled(held, draw) for held in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**50 and draw(_RARELY):
        return draw(st.sampled_from([float(value), str(value)]))
    return value


_RARELY = st.sampled_from([False] * 9 + [True])
_LINE_BREAK = re.compile(rb"\r\n|\r")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, Answer, bytes]:
    """A provider, its answer, and the bytes of it: a stream or a document, with any line breaks, comments and marks."""
    provider, answer = draw(st.sampled_from(sorted(SHAPES))), draw(answers())
    shape = SHAPES[provider]
    if draw(st.sampled_from([False, False, False, True])):
        document = respelled(shape.document(answer), draw)
        return provider, answer, json.dumps(document, indent=draw(st.sampled_from([None, 2]))).encode()
    line_break, lines = draw(st.sampled_from(["\n", "\r\n", "\r"])), list[str]()
    if draw(_RARELY):
        lines += [": a comment", ""]
    for event in shape.stream(answer):
        if isinstance(event, str):
            lines += [*event.split("\n"), ""]
            continue
        data = json.dumps(respelled(event, draw), ensure_ascii=draw(st.booleans()), indent=1 if draw(_RARELY) else None)
        lines += [*(shape.before + line for line in data.split("\n")), ""]
        if draw(_RARELY):
            lines += draw(
                st.sampled_from([[":"], ["data: null", ""], ["event: ping", "data: {}", ""], ["retry: 5", ""]])
            )
    mark = b"\xef\xbb\xbf" if draw(_RARELY) else b""
    return provider, answer, mark + line_break.join([*lines, ""]).encode()


def parted(body: bytes, draw: st.DrawFn) -> list[bytes]:
    """A body in pieces that end anywhere."""
    if draw(_RARELY):
        return [body[place : place + 1] for place in range(len(body))]
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[begin:end] for begin, end in zip([0, *places], [*places, len(body)], strict=True)]


@LIMITS
@given(st.data())
def test_a_well_formed_answer_is_read_exactly(client: Client, data: st.DataObject) -> None:
    provider, answer, body = data.draw(bodies())
    draft, failure, used = client.ask(provider, _parts(data, body))
    assert draft is not None, failure
    assert draft.text == without_blank_lines_around(answer.text)
    assert draft.stop is (Stop.LENGTH if answer.finish == "length" else Stop.END)
    assert used == draft.usage == SHAPES[provider].usage(answer)


def without_blank_lines_around(text: str) -> str:
    """A solution keeps the indentation of its first line."""
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip()


def _parts(data: st.DataObject, body: bytes) -> list[bytes]:
    return parted(body, data.draw)


@LIMITS
@given(st.data())
def test_an_answer_that_is_cut_is_one_clear_error_and_paid_for(client: Client, data: st.DataObject) -> None:
    provider, answer, body = data.draw(bodies())
    body = body[: data.draw(st.integers(0, len(body)))]
    draft, failure, used = client.ask(provider, _parts(data, body))
    if draft is not None:
        assert draft.text == without_blank_lines_around(answer.text)
    # an event that is cut off is discarded, by the standard of event streams
    whole_events = _LINE_BREAK.sub(b"\n", body).split(b"\n\n")[:-1]
    begun = any(b'"x' in event for event in whole_events)
    check_bill(draft, failure, used, SHAPES[provider].usage(answer), begun)


@LIMITS
@given(st.data())
def test_an_answer_with_a_flipped_byte_is_an_answer_or_one_clear_error(client: Client, data: st.DataObject) -> None:
    provider, _, body = data.draw(bodies())
    place, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    flipped = body[:place] + bytes([body[place] ^ 1 << bit]) + body[place + 1 :]
    draft, failure, used = client.ask(provider, _parts(data, flipped))
    check_bill(draft, failure, used, None, begun=False)


@LIMITS
@given(st.data())
def test_a_field_of_another_type_is_absent_or_one_clear_error(client: Client, data: st.DataObject) -> None:
    provider, answer = data.draw(st.sampled_from(sorted(SHAPES))), data.draw(answers())
    document = SHAPES[provider].document(answer)
    holder, name = data.draw(st.sampled_from(list(_places(document))))
    holder[name] = data.draw(st.sampled_from([None, True, -1, 1.5, "x", [], {}, [1], {"x": 1}, [[]]]))
    draft, failure, used = client.ask(provider, [json.dumps(document).encode()])
    check_bill(draft, failure, used, None, begun=False)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, held in list(pairs):
        yield value, name
        if isinstance(held, dict | list):
            yield from _places(held)


def check_bill(draft: Draft | None, failure: str, used: Usage, exact: Usage | None, begun: bool) -> None:
    """One clear error or a draft; the server's counts or a declared estimate, and never nothing for tokens received."""
    assert draft is not None or (failure.startswith("m: ") and len(failure) < 900 and "\n\n" not in failure)
    assert min(used.input_tokens, used.cache_read_tokens, used.cache_write_tokens, used.output_tokens) >= 0
    if draft is not None:
        assert used == draft.usage
        assert used.output_tokens > 0 or not draft.text
        assert used.read_tokens > 0
    elif begun and not used.estimated:
        assert used.output_tokens > 0
    if exact is not None and used != Usage() and not used.estimated:
        # A server that counts with each piece has counted what had come.
        assert used.output_tokens <= exact.output_tokens
        assert used == replace(exact, output_tokens=used.output_tokens, reasoning_tokens=used.reasoning_tokens)
