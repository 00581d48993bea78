"""A client that costs little: requests over connections that stay open, and how long each took."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where chat requests go. pid: whose CPU time counts, 0 for none. most: clients at once with which it works."""

    name: str
    port: int
    model: str = "mock"
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    most: int = 1000

    def request(self, *, stream: bool) -> bytes:
        """The bytes of one request."""
        messages = [{"role": "user", "content": "Say something that takes about fifty words. " * 8}]
        body = {"model": self.model, "messages": messages, "max_tokens": 256, "stream": stream}
        data = json.dumps(body | ({"stream_options": {"include_usage": True}} if stream else {})).encode()
        fields = {"host": f"127.0.0.1:{self.port}", "content-type": "application/json", "content-length": len(data)}
        head = "".join(f"{name}: {value}\r\n" for name, value in (fields | dict(self.headers)).items())
        return f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + data


@dataclass
class Times:
    """Seconds to the end and to the first piece, for each request, and how long all of them took together."""

    whole_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    took_s: float = 0.0


class Client:
    """Sends one request after the other."""

    def __init__(self, endpoint: Endpoint, *, stream: bool) -> None:
        self._port, self._request = endpoint.port, endpoint.request(stream=stream)
        self._name = endpoint.name
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, until: float, times: Times) -> None:
        while (began := time.perf_counter()) < until:
            first = await self._ask()
            times.whole_s.append(time.perf_counter() - began)
            times.first_s.append(first - began)
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _ask(self) -> float:
        """When the first piece came. Raises SystemExit for an answer that is not the upstream's."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        body, first = bytearray(), 0.0
        async for piece in self._pieces(head):
            body += piece
            first = first or (time.perf_counter() if b"piece0" in body else 0.0)
        if head[9:12] != b"200" or b"piece9" not in body:
            raise SystemExit(f"{self._name}: {head.decode()}{body.decode()}")
        if b"connection: close" in head or head.startswith(b"http/1.0"):
            self.close()
        return first

    async def _pieces(self, head: bytes) -> AsyncIterator[bytes]:
        if b"transfer-encoding: chunked" in head:
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                yield (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readuntil(b"\r\n")
        elif b"content-length:" in head:
            yield await self._reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        else:
            yield await self._reader.read(-1)


async def load(endpoint: Endpoint, *, stream: bool, clients: int, seconds: float) -> Times:
    """So many clients for so long."""
    times, began = Times(), time.perf_counter()
    all_clients = [Client(endpoint, stream=stream) for _ in range(clients)]
    await asyncio.gather(*(each.run(began + seconds, times) for each in all_clients))
    times.took_s = time.perf_counter() - began
    return times
