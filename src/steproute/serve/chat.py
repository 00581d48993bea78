"""`POST /v1/chat/completions`: one answer, whole or as a stream of steps."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeVar

import msgspec
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.chat import ChatDelta
from steproute.core.errors import SteprouteError
from steproute.core.events import Accepted, Finished
from steproute.core.solution import DEFAULT_SEPARATOR
from steproute.core.trace import Trace
from steproute.serve.answering import Answer
from steproute.serve.chat_reply import Head, PassedChoices, finish_reason, step_choices, step_facts, text_of
from steproute.serve.chat_request import Chat, ChatBody
from steproute.serve.errors import ApiError, api_error, client_left, upstream_failure
from steproute.serve.face import DONE, Face, Json, SseEvent, renamed, sse
from steproute.serve.gateway import Gateway
from steproute.serve.requested import Requested

KEEP_ALIVE_S: Final = 10
_T = TypeVar("_T")


class ChatFace:
    """The chat API itself."""

    names: Mapping[str, str] = {}

    def whole(self, completion: Json) -> Json:
        """As it is."""
        return completion

    def events(self, chunk: Json) -> Iterator[SseEvent]:
        """As it is."""
        yield sse(chunk)

    def end(self) -> Iterator[SseEvent]:
        """The word that there is nothing more."""
        yield DONE


async def chat_completions(request: Request) -> Response:
    """Answer a conversation by the route that it names as its model."""
    return await replied(request, Chat.from_json(await request.body()), ChatFace())


async def replied(request: Request, chat: Chat, face: Face) -> Response:
    """Answer a chat request in the shape of an API."""
    try:
        requested, answer = await _begun(request, chat)
    except (ApiError, SteprouteError) as failure:
        raise renamed(failure, face.names) from failure
    trace_id = requested.work.trace_id
    head = Head(trace_id=trace_id, model=chat.body.model, created=int(time.time()), facts=requested.facts)
    headers = {"x-steproute-trace-id": head.trace_id}
    if not chat.body.stream:
        trace, choices = await until_left(request, answer, _whole(answer))
        headers["x-steproute-cost-usd"] = f"{trace.cost_usd:f}"
        reply = msgspec.json.encode(face.whole(head.completion(trace, choices)))
        return Response(reply, media_type="application/json", headers=headers)
    chunks = _chunks(answer, head, chat.body, at_once=not requested.served.retracts)
    return EventSourceResponse(_events(chunks, face), headers=headers, sep="\n", ping=KEEP_ALIVE_S)


async def _begun(request: Request, chat: Chat) -> tuple[Requested, Answer]:
    gateway: Gateway = request.app.state.gateway
    requested = await gateway.request(chat, request.state.principal)
    answer = gateway.answer(requested, request.state.principal)
    await answer.admitted()
    return requested, answer


async def until_left(request: Request, answer: Answer, reading: Coroutine[Any, Any, _T]) -> _T:
    """The whole answer; a client that leaves before it is there cancels it. Raises ApiError then."""
    leaving, read = asyncio.create_task(_left(request)), asyncio.create_task(reading)
    try:
        await asyncio.wait({leaving, read}, return_when=asyncio.FIRST_COMPLETED)
        if not read.done():
            raise client_left()
        return read.result()
    finally:
        leaving.cancel()
        read.cancel()
        answer.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _whole(answer: Answer) -> tuple[Trace, list[dict[str, Any]]]:
    """The trace and the choices."""
    passed = PassedChoices()
    async for happening in answer.happenings():
        if isinstance(happening, ChatDelta):
            passed.take(happening)
        elif isinstance(happening, Finished):
            trace = sound(happening.trace)
    choices = passed.whole or step_choices(trace)
    for choice in choices:
        choice["finish_reason"] = choice["finish_reason"] or finish_reason(trace)
    return trace, choices


def sound(trace: Trace) -> Trace:
    """Raises ApiError for a trace that is no answer."""
    if trace.failed:
        raise upstream_failure(trace.error or f"The solution ended as {trace.outcome.value}.")
    return trace


async def _events(chunks: AsyncGenerator[Json, None], face: Face) -> AsyncIterator[SseEvent]:
    async with aclosing(chunks):
        async for chunk in chunks:
            for event in face.events(chunk):
                yield event
        for event in face.end():
            yield event


async def _chunks(answer: Answer, head: Head, body: ChatBody, *, at_once: bool) -> AsyncGenerator[Json, None]:
    """Each step when it is accepted, how the answer ended, and the usage if it is asked for; or an error at last."""
    try:
        yield head.chunk({"role": "assistant", "content": ""})
        is_shown, begun, finished = False, set[int](), set[int]()
        async for happening in answer.happenings():
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
    finally:
        answer.cancel()


def _end(trace: Trace, head: Head, body: ChatBody, *, is_shown: bool, unfinished: set[int]) -> list[dict[str, Any]]:
    """The last chunks: the text if nothing was shown, how it ended, and the usage if it is asked for.

    unfinished: replies without a finish reason. One that is passed through has its own, unless a limit cut it off.
    """
    chunks = [] if is_shown or not trace.steps else [head.chunk({"content": text_of(trace.steps)})]
    reason = finish_reason(trace)
    chunks += [head.passed_chunk(ChatDelta(reply=reply, finish_reason=reason)) for reply in sorted(unfinished - {0})]
    chunks.append(head.chunk({}, finish_reason=reason if 0 in unfinished else None, steproute=head.summary(trace)))
    if body.stream_options is not None and body.stream_options.include_usage:
        chunks.append(head.usage_chunk(trace))
    return chunks
