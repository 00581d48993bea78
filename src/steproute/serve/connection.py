"""A limit on what a client may send before its request begins, and how long it may take. uvicorn has none."""

import asyncio
from typing import ClassVar, Final
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedConnection(HttpToolsProtocol):
    """Closes connections whose next request line and headers exceed 64 KiB or take more than 20 seconds.

    all_open: those of this process.
    """

    all_open: ClassVar["WeakSet[LimitedConnection]"] = WeakSet()
    seconds = 20.0
    _bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request is awaited."""
        super().connection_made(transport)
        self.all_open.add(self)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers are complete."""
        waited = self._timer
        super().data_received(data)
        if self._timer is None or self._timer is not waited:
            return
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a further request."""
        if self._timer is None:
            self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The request begins; its body has limits of its own."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        self.all_open.discard(self)
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._bytes = 0
        self._timer = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
