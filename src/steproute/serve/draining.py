"""A graceful end: on SIGTERM or Ctrl-C the gateway first finishes what it has accepted."""

import asyncio
import signal
import threading
from typing import Final

from steproute.serve.gateway import Gateway

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def drain_on_signal(gateway: Gateway) -> None:
    """Refuse further requests with 503 until those under way have ended, and only then let the server stop.

    A second signal stops it at once. Does nothing outside the main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    servers = {number: signal.getsignal(number) for number in _SIGNALS}

    async def finish(number: int) -> None:
        await gateway.drain()
        signal.raise_signal(number)

    def arrived(number: int, frame: object) -> None:
        for each, handler in servers.items():
            signal.signal(each, handler)
        loop.call_soon_threadsafe(lambda: gateway.keep(finish(number)))

    for number in _SIGNALS:
        signal.signal(number, arrived)
