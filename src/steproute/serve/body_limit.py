"""A limit on what a client may send and how long it may take."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steproute.serve.errors import ApiError

_SECONDS: Final = 60.0


class BodyLimit:
    """Refuses bodies above `most_bytes`, and those that take more than a minute.

    Both are ApiErrors where the body is read, so it stands within the application's error handlers.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        counted = _Counted(receive, self._most, int(declared) if declared.isdigit() else 0)
        return await self._app(scope, counted, send)


class _Counted:
    """A body under way. When it is whole, receiving waits for the client's end of the connection and has no limit."""

    def __init__(self, receive: Receive, most: int, declared: int) -> None:
        self._receive, self._most, self._size = receive, most, 0
        self._is_whole, self._declared = False, declared
        self._until = asyncio.get_running_loop().time() + _SECONDS

    async def __call__(self) -> Message:
        if self._is_whole:
            return await self._receive()
        self._check(self._declared)
        try:
            async with asyncio.timeout_at(self._until):
                message: MutableMapping[str, Any] = await self._receive()
        except TimeoutError:
            raise ApiError(408, f"The body did not come within {_SECONDS:.0f} seconds.") from None
        self._size += len(message.get("body", b""))
        self._check(self._size)
        self._is_whole = not message.get("more_body", False)
        return message

    def _check(self, size: int) -> None:
        if size > self._most:
            megabytes = self._most / 1e6
            raise ApiError(413, f"The body is above {megabytes:g} MB, the gateway's limit.", code="request_too_large")
