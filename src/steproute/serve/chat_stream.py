"""An answer as a stream of chunks, each in the shape of an API."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from steproute.core.chat import ChatDelta
from steproute.core.errors import SteprouteError
from steproute.core.events import Accepted, Finished
from steproute.core.solution import DEFAULT_SEPARATOR
from steproute.core.trace import Trace
from steproute.serve.answering import Answer, Happening
from steproute.serve.chat_reply import Head, finish_reason, sound, step_facts, text_of
from steproute.serve.chat_request import ChatBody
from steproute.serve.errors import ApiError, api_error, client_left
from steproute.serve.face import Face, Json, SseEvent

KEEP_ALIVE_S: Final = 10
FIRST_PIECE_S: Final = 30.0
"""How long a response waits for its first piece. The usual proxies end a silent connection after 60 seconds."""


class AnswerStream(EventSourceResponse):
    """Sends an answer as it comes. However the response ends, the answer is then no longer needed."""

    def __init__(
        self,
        answer: Answer,
        begun: Sequence[Happening],
        head: Head,
        body: ChatBody,
        face: Face,
        *,
        at_once: bool,
        headers: Mapping[str, str],
    ) -> None:
        self._answer = answer
        chunks = chunks_of(_all(begun, answer), head, body, at_once=at_once)
        super().__init__(_events(chunks, face), headers=headers, sep="\n", ping=KEEP_ALIVE_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A client that has left before the first chunk cancels the answer as well."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.cancel()


async def first_happenings(request: Request, answer: Answer, *, at_once: bool) -> list[Happening]:
    """What happens up to the first piece that the client is shown, or within FIRST_PIECE_S if that takes longer.

    Raises ApiError or SteprouteError if the answer fails or the client leaves before that.
    """
    begun: list[Happening] = []
    reading = asyncio.create_task(_read(answer, begun, at_once))
    try:
        await unless_left(request, reading, FIRST_PIECE_S)
        if reading.done():
            reading.result()
    except BaseException:
        answer.cancel()
        raise
    finally:
        reading.cancel()
    return begun


async def _read(answer: Answer, begun: list[Happening], at_once: bool) -> None:
    async with aclosing(answer.happenings()) as happenings:
        async for happening in happenings:
            begun.append(happening)
            if isinstance(happening, Finished):
                sound(happening.trace)
            elif isinstance(happening, ChatDelta) or (isinstance(happening, Accepted) and at_once):
                return


async def unless_left(request: Request, task: "asyncio.Task[Any]", timeout_s: float | None = None) -> None:
    """Return when the task is done or the time is over. Raises ApiError if the client leaves before that."""
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({leaving, task}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not task.done():
            raise client_left()
    finally:
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _all(begun: Sequence[Happening], answer: Answer) -> AsyncIterator[Happening]:
    for happening in begun:
        yield happening
    if not begun or not isinstance(begun[-1], Finished):
        async for happening in answer.happenings():
            yield happening


async def _events(chunks: AsyncIterator[Json], face: Face) -> AsyncIterator[SseEvent]:
    async for chunk in chunks:
        for event in face.events(chunk):
            yield event
    for event in face.end():
        yield event


async def chunks_of(
    happenings: AsyncIterator[Happening], head: Head, body: ChatBody, *, at_once: bool
) -> AsyncIterator[Json]:
    """Each step when it is accepted, how the answer ended, and the usage if it is asked for; or an error at last.

    If usage is asked for, it is null in every chunk but the last one, as OpenAI has it.
    """
    async for chunk in _chunks(happenings, head, body, at_once=at_once):
        yield {"usage": None, **chunk} if _counts(body) and "error" not in chunk else chunk


async def _chunks(
    happenings: AsyncIterator[Happening], head: Head, body: ChatBody, *, at_once: bool
) -> AsyncIterator[Json]:
    try:
        yield head.chunk({"role": "assistant", "content": ""})
        is_shown, begun, finished = False, set[int](), set[int]()
        async for happening in happenings:
            if isinstance(happening, ChatDelta) and happening.call is None:
                yield head.passed_chunk(happening)
                is_shown = True
                (finished if happening.finish_reason else begun).add(happening.reply)
            elif isinstance(happening, Accepted) and at_once and happening.step.text:
                text = DEFAULT_SEPARATOR + happening.step.text if is_shown else happening.step.text
                yield head.chunk({"content": text}, steproute=step_facts(happening.step))
                is_shown = True
            elif isinstance(happening, Finished):
                trace = sound(happening.trace)
                unfinished = ((begun | finished) or {0}) - finished
                for chunk in _end(trace, head, body, is_shown=is_shown, unfinished=unfinished):
                    yield chunk
    except ApiError as failure:
        yield failure.body
    except SteprouteError as failure:
        yield api_error(failure).body


def _end(trace: Trace, head: Head, body: ChatBody, *, is_shown: bool, unfinished: set[int]) -> list[dict[str, Any]]:
    """The last chunks: the text if nothing was shown, how it ended, and the usage if it is asked for.

    unfinished: replies without a finish reason. One that is passed through has its own, unless a limit cut it off.
    """
    chunks = [] if is_shown or not trace.steps else [head.chunk({"content": text_of(trace.steps)})]
    reason = finish_reason(trace)
    chunks += [head.passed_chunk(ChatDelta(reply=reply, finish_reason=reason)) for reply in sorted(unfinished - {0})]
    chunks.append(head.chunk({}, finish_reason=reason if 0 in unfinished else None, steproute=head.summary(trace)))
    if _counts(body):
        chunks.append(head.usage_chunk(trace))
    return chunks


def _counts(body: ChatBody) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)
