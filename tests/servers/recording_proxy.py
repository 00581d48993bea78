"""A proxy before a model server, which keeps what was asked of it and the usage that it reported."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Recorded:
    """A request and the last usage in its reply."""

    body: dict[str, Any]
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        return str(self.body.get("prompt", ""))


@dataclass
class RecordingProxy:
    """url: as that of the server behind it, ends in /v1."""

    url: str
    calls: list[Recorded] = field(default_factory=list)

    def total(self, count: str) -> int:
        """The sum of one count of the usages, such as `completion_tokens`."""
        return sum(call.usage[count] for call in self.calls)


@contextmanager
def recording_proxy(url: str) -> Iterator[RecordingProxy]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"]))
            call = Recorded(json.loads(sent))
            proxy.calls.append(call)
            json_type = {"content-type": "application/json"}
            request = urllib.request.Request(url.removesuffix("/v1") + self.path, sent, json_type)
            with _reply(request) as reply:
                self.send_response(reply.status)
                self.send_header("content-type", reply.headers["content-type"])
                self.end_headers()
                for line in reply:
                    call.usage = _usage(line) or call.usage
                    self.wfile.write(line)

        def log_message(self, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = RecordingProxy(f"http://127.0.0.1:{listening.server_port}/v1")
    with ExitStack() as stack:
        stack.callback(listening.server_close)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        stack.callback(listening.shutdown)
        yield proxy


def _reply(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request)
    except urllib.error.HTTPError as refusal:
        return refusal


def _usage(line: bytes) -> dict[str, Any] | None:
    """The usage in a line of a stream, or in a whole reply."""
    text = line.decode().removeprefix("data: ").strip()
    found: dict[str, Any] | None = json.loads(text).get("usage") if text.startswith("{") else None
    return found
