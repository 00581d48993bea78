"""A cancelled stream, which no server counts, is billed by an estimate that says so and counts images."""

import sqlite3
import time

from tests.core.test_chat_images import PNG, part
from tests.serve.paid_gateway import PaidGateway

from steproute.core.chat_images import image_tokens


def test_the_line_of_a_cancelled_stream_is_an_estimate_with_its_images(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"])
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part(PNG)]}]
    with client.chat.completions.create(model="slow", messages=messages, stream=True) as stream:
        chunk = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    until = time.monotonic() + 20
    while not (rows := _rows(paid, chunk.id)):
        assert time.monotonic() < until
        time.sleep(0.05)
    ((purpose, estimated, read),) = rows
    assert (purpose, estimated) == ("cancelled", 1)
    assert image_tokens(640, 480) < read < image_tokens(640, 480) + 20


def _rows(paid: PaidGateway, request_id: str) -> list[tuple[str, int, int]]:
    with sqlite3.connect(paid.gateway.database) as database:
        found = database.execute(
            "SELECT purpose, estimated, input_tokens FROM lines WHERE request_id = ?", [request_id]
        )
        return list(found)
