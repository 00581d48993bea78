"""A graceful end: on SIGTERM or Ctrl-C the gateway first finishes what it has accepted."""

import asyncio
import logging
import signal
import threading
from collections.abc import Mapping
from typing import Any, Final

from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from steproute.serve.gateway import Gateway

_LOG: Final = logging.getLogger("steproute.serve")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_LAST_BILLS_S: Final = 1.0


class OpenResponses:
    """Counts the responses that are not yet sent, which a stopping gateway waits for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        task, responses = asyncio.current_task(), scope["app"].state.gateway.responses
        responses.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            responses.discard(task)


def drain_on_signal(gateway: Gateway) -> None:
    """Refuse further requests with 503 until those under way have ended, and only then let the server stop.

    A second signal ends them: what they have used is billed if that takes no longer than a second. Does nothing
    outside the main thread, where no signal arrives. With several workers only SIGTERM counts, which their parent
    sends: Ctrl-C reaches the workers as well as the parent.
    """
    AppStatus.enable_automatic_graceful_drain = False  # else it cuts the streams of clients that read slowly
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    servers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def arrived(number: int, frame: object) -> None:
        stop = _end_at_once(gateway, servers) if gateway.draining else _finish(gateway, servers, number)
        loop.call_soon_threadsafe(gateway.keep, stop)
        gateway.draining = True

    for number in _SIGNALS:
        signal.signal(number, arrived)
    if gateway.settings.workers > 1:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _finish(gateway: Gateway, servers: Mapping[int, Any], number: int) -> None:
    await gateway.drain()
    servers[number](number, None)


async def _end_at_once(gateway: Gateway, servers: Mapping[int, Any]) -> None:
    _LOG.warning("a second signal ends %d requests at once", len(gateway.answers))
    await gateway.abandon(_LAST_BILLS_S)
    for _ in range(2):  # the server ends without waiting when it is interrupted for the second time
        servers[signal.SIGINT](signal.SIGINT, None)
