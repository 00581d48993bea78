"""An OpenAI-compatible server on loopback that goes wrong on request and keeps a ledger of what it generated.

Its model solves every problem in four steps; a token is a word.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LAST = 4


class Fault(StrEnum):
    RATE_LIMITED = "429"
    RATE_LIMITED_WITH_WAIT = "429 with Retry-After"
    SERVER_ERROR = "500"
    RESET = "reset in the middle"
    EARLY_END = "end in the middle"
    CLEAN_END = "end in the middle that reads as a whole reply"
    HANG = "hang"
    TRUNCATED_JSON = "truncated JSON"
    INVALID_UTF8 = "invalid UTF-8"
    WRONG_COUNTS = "wrong token counts"
    DUPLICATED_CHUNK = "duplicated chunk"
    ERROR_BODY = "status 200 with an error body"
    NOT_TLS = "TLS failure"


async def silent(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Whether the client keeps its connection for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1) != b""
    except TimeoutError:
        return True


@dataclass
class Asked:
    """A request and what it cost the server's owner."""

    path: str
    body: dict[str, Any]
    fault: Fault | None
    head: str = ""
    prompt_tokens: int = 0
    generated: int = 0
    closed_by_client: bool = False


@dataclass
class HostileServer:
    """`decide` says for each request what goes wrong, if anything."""

    decide: Callable[[Asked], Fault | None]
    token_s: float = 0.0
    reports_usage: bool = True
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostileServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()  # `async with server` waits for clients with open connections, from Python 3.12 on

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            first = await reader.readexactly(1)
            if first == b"\x16":  # a TLS hello
                return False
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return False
        if not head.startswith(("POST", "GET")):
            return False
        length = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.lower().startswith("content-length")), 0)
        body = json.loads(await reader.readexactly(length) or b"{}")
        request = Asked(head.split()[1], body, None, head)
        request.fault = self.decide(request)
        self.asked.append(request)
        match request.fault:
            case Fault.RATE_LIMITED:
                return await self._send(writer, 429, {"error": {"message": "slow down"}})
            case Fault.RATE_LIMITED_WITH_WAIT:
                return await self._send(writer, 429, {"error": {"message": "slow down"}}, "retry-after-ms: 50\r\n")
            case Fault.SERVER_ERROR:
                return await self._send(writer, 500, {"error": {"message": "oops"}})
            case Fault.HANG:
                request.closed_by_client = not await silent(reader, 30)
                return False
            case Fault.ERROR_BODY:
                return await self._send(writer, 200, {"error": {"message": "worker died", "code": 503}})
        if head.startswith("GET"):
            return await self._get(request, writer)
        if request.path.endswith("/pooling"):
            return await self._pool(request, writer)
        if request.path.endswith("/tokenize"):
            return await self._send(writer, 200, {"tokens": list(_text(body["messages"][-1]).encode())})
        if request.path.endswith("/detokenize"):
            return await self._send(writer, 200, {"prompt": f"<user>{bytes(body['tokens']).decode()}<assistant>"})
        return await self._stream(request, writer, reader)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        return await self._send(writer, 200, {"data": [{"id": "m"}]})

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: object, headers: str = "") -> bool:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{headers}\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return True

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        text = request.body["input"]
        request.prompt_tokens = len(text.split())
        pairs = [[0.1, 0.9]] * text.count("<extra_0>")
        if request.fault is Fault.WRONG_COUNTS:
            pairs = pairs[1:]
        if request.fault is Fault.DUPLICATED_CHUNK:
            pairs = pairs + pairs[:1]
        answer = {"data": [{"index": 0, "data": pairs}], "usage": {"prompt_tokens": request.prompt_tokens}}
        data = json.dumps(answer).encode()
        match request.fault:
            case Fault.TRUNCATED_JSON | Fault.CLEAN_END:
                return await self._send(writer, 200, data[:-9])
            case Fault.INVALID_UTF8:
                return await self._send(writer, 200, data[:2] + b"\xff" + data[2:])
            case Fault.RESET | Fault.EARLY_END:
                writer.write(f"HTTP/1.1 200 x\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data[:9])
                await writer.drain()
                return self._break_off(writer, request.fault)
        return await self._send(writer, 200, data)

    def _break_off(self, writer: asyncio.StreamWriter, fault: Fault) -> bool:
        if fault is Fault.RESET:
            writer.transport.abort()
        elif fault is Fault.CLEAN_END:
            writer.write(b"0\r\n\r\n")
        return False

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        body = request.body
        said = self._said(body)
        request.prompt_tokens = len(said.split())
        writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in self._opening(request):
            await self._write(writer, event)
        reason, stopped_at = "stop", None
        pieces = self._pieces(said, bool(body.get("stop")), "one step that comes next" in said)
        for count, piece in enumerate(pieces, start=1):
            if count > body.get("max_tokens", body.get("max_completion_tokens", 99)):
                reason = "length"
                break
            request.generated += 1
            if piece is None:
                stopped_at = body["stop"][0]
                break
            event = self._event(request, piece)
            await self._write(writer, event)
            if count == 2 and request.fault is not None:
                match request.fault:
                    case Fault.DUPLICATED_CHUNK:
                        await self._write(writer, event)
                        if not self._continuous(body):
                            continue
                    case Fault.TRUNCATED_JSON:
                        await self._write(writer, event[: event.index(piece.encode())] + b"\n\n")
                    case Fault.INVALID_UTF8:
                        await self._write(writer, event.replace(piece.encode(), b"\xff\xfe"))
                    case Fault.WRONG_COUNTS:
                        continue
                await asyncio.sleep(0.02)
                return self._break_off(writer, request.fault)
            if self.token_s:
                await asyncio.sleep(self.token_s)
            if reader.at_eof() or writer.is_closing():
                request.closed_by_client = True
                return False
        for event in self._ending(request, reason, stopped_at):
            await self._write(writer, event)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _said(self, body: dict[str, Any]) -> str:
        return "".join(map(_text, body["messages"])) if "messages" in body else body["prompt"]

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        """Words of what comes next; None is the stop string, which is generated but not sent."""
        pieces: list[str | None] = []
        for step in range(said.count("Step") + 1, LAST + 1):
            pieces += [f"Step {step}: ", "so ", "\\boxed{42}" if step == LAST else "then"]
            if step < LAST and not one_step:
                pieces.append(None if stops else "\n\n")
            if stops or one_step:
                break
        return pieces

    def _opening(self, request: Asked) -> list[bytes]:
        return []

    def _event(self, request: Asked, piece: str, **ending: str | None) -> bytes:
        chat = "messages" in request.body
        choice = {"index": 0, **({"delta": {"content": piece}} if chat else {"text": piece}), **ending}
        body: dict[str, Any] = {"id": "x", "choices": [choice]}
        if self._continuous(request.body) and self.reports_usage:
            body["usage"] = self._usage(request)
        return self._data(body)

    def _continuous(self, body: dict[str, Any]) -> bool:
        return bool(body.get("stream_options", {}).get("continuous_usage_stats", False))

    def _ending(self, request: Asked, reason: str, stopped_at: str | None) -> list[bytes]:
        ending = self._event(request, "", finish_reason=reason, stop_reason=stopped_at)
        usage = self._data({"choices": [], "usage": self._usage(request)})
        return [ending, *([usage] if self.reports_usage else []), b"data: [DONE]\n\n"]

    def _usage(self, request: Asked) -> dict[str, int]:
        if request.fault is Fault.WRONG_COUNTS:
            return {"prompt_tokens": -3, "completion_tokens": 10**9}
        return {"prompt_tokens": request.prompt_tokens, "completion_tokens": request.generated}

    def _data(self, body: object) -> bytes:
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
