"""What needs no llama.cpp: settings that cannot be, a package that is missing, draws, and how its server differs."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backends.http.hostile import Asked, HostileServer

from steproute.backends.draw import draw, log_softmax
from steproute.backends.http.server import Server
from steproute.backends.llama_cpp.model import LlamaCppModel, LlamaCppSettings
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.step_cutter import StepCutter
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, ContextOverflow
from steproute.core.problem import Problem
from steproute.core.registry import models
from steproute.core.solution import Meter, Prefix, Sampling
from steproute.core.usage import Usage

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32))
UNBOUND = Sampling(temperature=1.0, top_p=1.0, top_k=0)


@pytest.mark.parametrize(
    ("field", "value"), [("n_ctx", 0), ("threads", -1), ("gpu_layers", -2), ("sessions", 0), ("n_ctx", "large")]
)
def test_a_number_that_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        LlamaCppModel.from_settings("weak", {"path": "m.gguf", field: value})


def test_a_file_that_is_missing_or_no_gguf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Set path to a GGUF file"):
        LlamaCppModel("weak", LlamaCppSettings(path=str(tmp_path / "none.gguf")))
    (tmp_path / "other.gguf").write_bytes(b"PK\3\4 something else")
    with pytest.raises(ConfigError, match="no GGUF file"):
        LlamaCppModel("weak", LlamaCppSettings(path=str(tmp_path / "other.gguf")))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"pip install 'steproute\[local\]'"):
        models.get("llama.cpp").from_settings("weak", {"path": str(tmp_path / "m.gguf")})


def test_temperature_0_takes_the_most_likely_token() -> None:
    assert {draw(LOGITS, Sampling(temperature=0.0), point) for point in (0.0, 0.5, 0.99)} == {1}


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (UNBOUND, {1: 0.4, 3: 0.3, 2: 0.2, 0: 0.1}),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), {1: 4 / 7, 3: 3 / 7}),
        (Sampling(temperature=1.0, top_p=0.5, top_k=0), {1: 4 / 7, 3: 3 / 7}),
        (Sampling(temperature=1.0, top_p=1e-9, top_k=0), {1: 1.0}),
        (Sampling(temperature=0.5, top_p=1.0, top_k=3), {1: 16 / 29, 3: 9 / 29, 2: 4 / 29}),
    ],
)
def test_every_token_is_drawn_as_often_as_it_is_likely(sampling: Sampling, kept: dict[int, float]) -> None:
    points = (np.arange(2900) + 0.5) / 2900
    tokens, counts = np.unique([draw(LOGITS, sampling, point) for point in points], return_counts=True)
    assert dict(zip(tokens.tolist(), counts / 2900, strict=True)) == pytest.approx(kept, abs=1e-3)


def test_log_probabilities_add_up_to_one() -> None:
    assert np.exp(log_softmax(LOGITS + 7)) == pytest.approx([0.1, 0.4, 0.2, 0.3])


class PythonServer(HostileServer):
    """Breaks its streams off, and says why only of an answer that is not streamed."""

    def __init__(self, why: dict[str, Any], status: int, *, begins: bool = True) -> None:
        super().__init__(lambda request: None)
        self.why, self.status, self.begins = why, status, begins

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if not request.body.get("stream"):
            return await self._send(writer, self.status, self.why)
        if self.begins:
            writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            await writer.drain()
        return False


def ask(server: HostileServer, meter: Meter, n: int = 1, **more: Any) -> None:
    async def run() -> None:
        async with server.running():
            settings = OpenAiSettings(
                model="m", server=Server(base_url=server.url), kind="llama-cpp-python", template="none", **more
            )
            await OpenAiModel("m", settings).propose(
                Prefix(problem=Problem.ask(id="p", text="A riddle.")), n, UNBOUND, meter
            )

    asyncio.run(run())


@pytest.mark.parametrize("begins", [True, False])
def test_a_prompt_too_long_for_its_server_is_told_from_a_broken_stream(begins: bool) -> None:
    message = (
        "This model's maximum context length is 64 tokens, however you requested 71 tokens "
        "(70 in your prompt; 1 for the completion). Please reduce your prompt; or completion length."
    )
    overflow = PythonServer({"error": {"message": message, "code": "context_length_exceeded"}}, 400, begins=begins)
    meter = Meter()
    with pytest.raises(ContextOverflow):
        ask(overflow, meter)
    assert meter.usage == Usage()
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    broken = PythonServer({"choices": [{"index": 0, "text": "a"}], "usage": usage}, 200, begins=begins)
    with pytest.raises(BackendUnavailable):
        ask(broken, meter)
    assert meter.usage == Usage(input_tokens=5, output_tokens=1), "what asking why took is paid for"
    assert len(broken.asked) == 2


def test_its_server_is_asked_for_the_distribution_as_it_is() -> None:
    server = HostileServer(lambda request: None)
    ask(server, Meter())
    body = server.asked[0].body
    assert (body["top_k"], body["min_p"], body["repeat_penalty"]) == (0, 0.0, 1.0)
    with pytest.raises(BackendError, match="one answer per request"):
        ask(server, Meter(), n=2)
    with pytest.raises(ConfigError, match="template"):
        OpenAiSettings(model="m", server=Server(base_url=server.url), kind="llama-cpp-python")


@pytest.mark.parametrize(
    "pieces", [["One.\n\nTwo", ".\n\n"], ["One", ".\n\n", "Two.\n\nThree"], ["Two.", "\n\n"], ["\n\nTwo", ".\n\n"]]
)
def test_an_answer_that_begins_with_the_prefill_is_cut_behind_it(pieces: list[str]) -> None:
    cutter = StepCutter("\n\n", echo="One.\n\n")
    assert [cutter.feed(piece) for piece in pieces][-1]
    assert cutter.text == "Two."
