"""Clients that send too slowly are cut off; in one process, with short limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from steproute.serve import body_limit
from steproute.serve.body_limit import BodyLimit
from steproute.serve.connection import LimitedConnection
from steproute.serve.errors import ApiError


class Impatient(LimitedConnection):
    seconds = 0.2


@asynccontextmanager
async def running() -> AsyncIterator[int]:
    """The port of a server that says how long a body was."""

    async def length(request: Request) -> Response:
        try:
            return PlainTextResponse(str(len(await request.body())))
        except ApiError as refused:
            return PlainTextResponse(refused.message, refused.status)

    app = BodyLimit(Starlette(routes=[Route("/", length, methods=["POST"])]), most_bytes=1000)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Impatient, log_level="error", lifespan="off"))
    with server.capture_signals():
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        await serving


async def exchange(*parts: bytes, pause_s: float) -> bytes:
    """What comes back until the server closes the connection."""
    async with running() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)
        received = await asyncio.wait_for(reading, 30)
        writer.close()
        return received


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"


@pytest.mark.parametrize("first", [b"", HEAD + b"\r\nabc"], ids=["first request", "second request"])
def test_headers_that_come_too_slowly_end_the_connection(first: bytes) -> None:
    trickle = [b"POST / HTTP/1.1\r\n", *[b"a: b\r\n"] * 20]
    received = asyncio.run(exchange(first, *trickle, pause_s=0.05))
    assert received.count(b"HTTP/1.1") == (1 if first else 0)


def test_a_body_that_comes_too_slowly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "_SECONDS", 0.2)
    close = b"connection: close\r\n\r\n"
    assert asyncio.run(exchange(HEAD + close, b"a", pause_s=0.5)).startswith(b"HTTP/1.1 408")


def test_requests_that_come_in_time_are_answered() -> None:
    close = HEAD + b"connection: close\r\n\r\nabc"
    received = asyncio.run(exchange(HEAD + b"\r\n", b"a", b"bc", close, pause_s=0.15))
    assert received.count(b"HTTP/1.1 200 OK") == 2
