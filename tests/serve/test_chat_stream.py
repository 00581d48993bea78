"""The chunks of a stream, whatever happens while the answer is written."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from steproute.core.chat import ChatDelta
from steproute.core.events import Finished
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.serve.answering import Happening
from steproute.serve.chat_reply import Head
from steproute.serve.chat_request import Chat
from steproute.serve.chat_stream import chunks_of


async def happening(*happenings: Happening) -> AsyncIterator[Happening]:
    for each in happenings:
        yield each


ENDED = Trace(
    problem_id="id", route="r", steps=(), answer=None, outcome=Outcome.COMPLETED, account=(), latency_s=0, seed=0
)


def streamed(*happenings: Happening, **fields: Any) -> list[Any]:
    body = Chat.of({"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True, **fields}).body
    head = Head(trace_id="id", model="m", created=0, facts={})

    async def run() -> list[Any]:
        chunks = chunks_of(happening(*happenings), head, body, at_once=True)
        return [chunk async for chunk in chunks]

    return asyncio.run(run())


def test_each_reply_that_a_limit_cuts_off_says_so() -> None:
    cut = replace(ENDED, outcome=Outcome.DEADLINE)
    chunks = streamed(
        ChatDelta(reply=0, content="a"),
        ChatDelta(reply=1, content="b"),
        ChatDelta(reply=0, finish_reason="stop"),
        Finished(cut),
    )
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert [(choice["index"], choice["finish_reason"]) for choice in choices] == [(0, "stop"), (1, "length")]


def test_usage_is_null_in_all_chunks_but_the_last_if_it_is_asked_for() -> None:
    happenings = ChatDelta(content="a"), ChatDelta(finish_reason="stop"), Finished(ENDED)
    *chunks, last = streamed(*happenings, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["usage"]["total_tokens"] == 0
    assert all("usage" not in chunk for chunk in streamed(*happenings))
