"""A model server that costs almost nothing: `python upstream.py PORT DELAY_MS PIECES`.

It answers every chat request with the same words, whole or as a stream of pieces; the last one leaves after DELAY_MS.
"""

import asyncio
import json
import sys
from typing import Any, Final

import uvloop

_USAGE: Final = {"prompt_tokens": 24, "completion_tokens": 48, "total_tokens": 72}
_HEAD: Final = {"id": "chatcmpl-1", "created": 1, "model": "mock"}


class Upstream(asyncio.Protocol):
    """One connection, which sends its next request after the answer to the last one."""

    def __init__(self, delay_s: float, pieces: int) -> None:
        self._delay_s, self._pieces = delay_s, pieces
        self._whole, self._stream = _response(_completion(pieces)), _events(pieces)
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._transport.write(_response({"object": "list", "data": [{"id": "mock", "object": "model"}]}))
        elif json.loads(body).get("stream"):
            self._send(0)
        else:
            self._loop.call_later(self._delay_s, self._transport.write, self._whole)

    def _send(self, number: int) -> None:
        if number < len(self._stream):
            self._loop.call_later(self._delay_s / len(self._stream), self._write, number)

    def _write(self, number: int) -> None:
        self._transport.write(self._stream[number])
        self._send(number + 1)


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


def _response(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)


def _completion(pieces: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(map(_piece, range(pieces)))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _HEAD | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _piece(number: int) -> str:
    return f"piece{number} of the answer "


def _events(pieces: int) -> list[bytes]:
    """What is written at once, each piece as a chunk of HTTP; the end comes with the last piece."""
    texts = [_event(_choice({"role": "assistant", "content": _piece(number)})) for number in range(pieces)]
    texts[0] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + texts[0]
    texts[-1] += _event(_choice({}, "stop")) + _event({"choices": [], "usage": _USAGE}) + _chunk(b"data: [DONE]\n\n")
    texts[-1] += _chunk(b"")
    return texts


def _choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _event(fields: dict[str, Any]) -> bytes:
    chunk = _HEAD | {"object": "chat.completion.chunk"} | fields
    return _chunk(b"data: %s\n\n" % json.dumps(chunk).encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(port: int, delay_s: float, pieces: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(delay_s, pieces), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, int(sys.argv[3])))
