"""Servers on loopback that `doctor` examines, healthy but for the faults that they are given, and files over them."""

import asyncio
import re
from pathlib import Path
from typing import Any

from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.hostile_anthropic import HostileAnthropic
from tests.config_texts import WRITERS

from steproute.config import read_config
from steproute.doctor import Finding, Severity, examine

CONFIG = (
    WRITERS
    + """
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "m"
price = {{ input = 1, output = 0 }}
"""
)
CLAUDE = """
[models.strong]
backend = "anthropic"
base_url = "{url}"
model = "m"
price = {{ input = 3, output = 4 }}
"""


class Patient(HostileServer):
    """A healthy server with switches for what may be wrong with it."""

    def __init__(self, *faults: str) -> None:
        super().__init__(lambda request: None)
        self.faults = faults
        self._room = 2047 if "has a small context" in faults else 2048

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        body = request.body
        if "/v2" in request.path:
            return await self._send(writer, 404, {"error": {"message": "Not Found"}})
        if "wrong key" in self.faults:
            return await self._send(writer, 401, {"error": {"message": "invalid key"}})
        if "ignores continuation" in self.faults and "messages" in body:
            body["messages"] = body["messages"][:1]
        if "ignores stop" in self.faults:
            body.pop("stop", None)
        if "hangs" in self.faults:
            await asyncio.sleep(30)
        if "trims" in self.faults and "messages" in body and body["messages"][-1]["role"] == "assistant":
            usage = {"prompt_tokens": 9, "completion_tokens": 1}
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "stop_reason": "\n\n"}
            return await self._send(writer, 200, {"choices": [choice], "usage": usage})
        return await super()._stream(request, writer, reader)

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        if "never ends a step" in self.faults:
            return ["so "] * 300
        if "wanders" in self.faults and stops and "Step 1" in said:
            return ["Cats ", "purr.", None]
        if "writes one step" in self.faults:
            return ["So ", "\\boxed{42}"]
        pieces = super()._pieces(said, stops, one_step and "writes on" not in self.faults)
        if "sends a little more" in self.faults:  # the token that holds the separator, whole
            return ["\n\nStep" if piece is None else piece for piece in pieces]
        return pieces

    def _event(self, request: Asked, piece: str, **ending: Any) -> bytes:
        if piece and request.body.get("logprobs"):
            ending["logprobs"] = {"token_logprobs": [-0.1], "top_logprobs": [{piece: -0.1, "Hm": -2.4}]}
        return super()._event(request, piece, **ending)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        if "wrong key" in self.faults:
            return await self._send(writer, 401, {"error": {"message": "invalid key"}})
        if "/v2" in request.path:
            return await self._send(writer, 404, {"error": {"message": "Not Found"}})
        return await self._send(writer, 200, {"data": [{"id": "m", "max_model_len": self._room}]})

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        text = request.body["input"]
        steps = re.split("<extra_0>", text.partition("assistant\n")[2])[:-1]
        good = [
            0.95 if adds_up(step) or ("places only" in self.faults and " 19" not in step) else 0.05 for step in steps
        ]
        if "blind" in self.faults:
            good = [0.9 for _ in steps]
        if "upside down" in self.faults:
            good = [1 - p for p in good]
        pairs = [[1 - p, p] for p in good]
        if "wrong marker" in self.faults:
            pairs = []
        return await self._send(writer, 200, {"data": [{"data": pairs}], "usage": {"prompt_tokens": 9}})


def adds_up(step: str) -> bool:
    """Whether each equation of a step holds, and its numbers are not those of the planted mistakes."""
    left_and_right = re.findall(r"([\d+*() -]*\d[\d+*() -]*) = (\d+)", step)
    holds = all(_value(left) == int(right) for left, right in left_and_right)
    planted = ("3x = 29", "3x = 16", "6 + 8", "24 + 5", "48 - 17", "150 + 120", "9 * 4")
    return holds and not any(mistake in step for mistake in planted)


def _value(expression: str) -> int:
    """2 * (9 + 4) and sums, differences and products of two numbers."""
    inner = re.sub(r"\((\d+) \+ (\d+)\)", lambda m: str(int(m[1]) + int(m[2])), expression.strip())
    match = re.fullmatch(r"(\d+)(?: ([-+*]) (\d+))?", inner)
    assert match, expression
    left, sign, right = int(match[1]), match[2] or "+", int(match[3] or 0)
    return {"+": left + right, "-": left - right, "*": left * right}[sign]


class Claude(HostileAnthropic):
    """A healthy server of the Messages API; `faults` as with Patient."""

    def __init__(self, *faults: str) -> None:
        super().__init__(lambda request: None)
        self.faults = faults
        self.prefills = "refuses prefill" not in faults
        self.thoughts = "Hm hm." if "thinks" in faults else ""

    def _said(self, body: dict[str, Any]) -> str:
        if "ignores the prefill" in self.faults:
            body["messages"] = body["messages"][:1]
        return super()._said(body)

    def _refusal(self, request: Asked) -> str:
        if "thinks" in self.faults and request.body["thinking"]["type"] == "disabled":
            return '"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive".'
        return super()._refusal(request)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        if "wrong key" in self.faults:
            error = {"type": "authentication_error", "message": "invalid x-api-key"}
            return await self._send(writer, 401, {"type": "error", "error": error})
        assert request.path == "/v1/models?limit=1000"
        listed = [{"type": "model", "id": name, "max_input_tokens": 200000} for name in ("m", "c-4-5-20250929")]
        return await self._send(writer, 200, {"data": listed, "has_more": False})


def diagnose(folder: Path, patient: HostileServer, *edits: tuple[str, str], config: str = CONFIG) -> list[Finding]:
    async def run() -> list[Finding]:
        async with patient.running():
            text = config.format(url=patient.url)
            for old, new in edits:
                assert old in text
                text = text.replace(old, new)
            path = folder / "steproute.toml"
            path.write_text(text)
            return await examine(read_config(path))

    return asyncio.run(run())


def ill(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is not Severity.OK]
