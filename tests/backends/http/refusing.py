"""A server on loopback that answers whatever it is asked with one status and body."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.backends.http.hostile import Asked, Fault
from tests.backends.http.judging import JudgingServer


@dataclass
class RefusingServer(JudgingServer):
    """refuses: which requests; the others are answered as JudgingServer does."""

    decide: Callable[[Asked], Fault | None] = field(default=lambda request: None)
    status: int = 400
    body: Any = None
    headers: str = ""
    refuses: Callable[[Asked], bool] = field(default=lambda request: True)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        if self.refuses(request):
            return await self._send(writer, self.status, self.body, self.headers)
        return await super()._get(request, writer)

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        if self.refuses(request):
            return await self._send(writer, self.status, self.body, self.headers)
        return await super()._pool(request, writer)

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if self.refuses(request):
            return await self._send(writer, self.status, self.body, self.headers)
        return await super()._stream(request, writer, reader)
