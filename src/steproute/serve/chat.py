"""`POST /v1/chat/completions`: one answer, whole or as a stream of steps."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.errors import SteprouteError
from steproute.core.events import Accepted, Finished
from steproute.core.solution import DEFAULT_SEPARATOR
from steproute.core.trace import Trace
from steproute.serve.answering import Answer
from steproute.serve.body import read_object
from steproute.serve.chat_reply import Head, finish_reason, step_facts, summary, text_of
from steproute.serve.chat_request import ChatRequest, chat_request
from steproute.serve.errors import ApiError, api_error, upstream_failure
from steproute.serve.face import DONE, Face, Json, SseEvent, renamed, sse
from steproute.serve.gateway import Gateway, ServedRoute
from steproute.store import Principal

KEEP_ALIVE_S: Final = 10


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
    return await replied(request, read_object(await request.body()), ChatFace())


async def replied(request: Request, fields: Json, face: Face) -> Response:
    """Answer the chat request of these fields in the shape of an API."""
    try:
        chat, served, answer = await _begun(request, fields)
    except ApiError as failure:
        raise renamed(failure, face.names) from None
    except SteprouteError as failure:
        raise renamed(api_error(failure), face.names) from failure
    head = Head(trace_id=answer.trace_id, model=chat.model, created=int(time.time()))
    headers = {"x-steproute-trace-id": head.trace_id}
    if not chat.stream:
        trace = await _whole(request, answer)
        headers["x-steproute-cost-usd"] = f"{trace.cost_usd:f}"
        body = msgspec.json.encode(face.whole(head.completion(trace)))
        return Response(body, media_type="application/json", headers=headers)
    chunks = _chunks(answer, head, chat, at_once=not served.retracts)
    return EventSourceResponse(_events(chunks, face), headers=headers, sep="\n", ping=KEEP_ALIVE_S)


async def _begun(request: Request, fields: Json) -> tuple[ChatRequest, ServedRoute, Answer]:
    gateway: Gateway = request.app.state.gateway
    principal: Principal = request.state.principal
    chat = chat_request(fields)
    served = gateway.route(chat.model)
    work = gateway.work(chat, fields, served, principal)
    answer = gateway.answer(served.route.name, work, principal)
    await _admitted(answer)
    return chat, served, answer


async def _events(chunks: AsyncGenerator[Json, None], face: Face) -> AsyncIterator[SseEvent]:
    async with aclosing(chunks):
        async for chunk in chunks:
            for event in face.events(chunk):
                yield event
        for event in face.end():
            yield event


async def _admitted(answer: Answer) -> None:
    try:
        await answer.admitted()
    except asyncio.CancelledError:
        answer.cancel()
        raise


async def _whole(request: Request, answer: Answer) -> Trace:
    """The solution; a client that leaves before it is there cancels it."""
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({leaving, answer.task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not answer.task.done():
            answer.cancel()
    if answer.task.cancelled() or not answer.task.done():
        raise ApiError(499, "The client closed the connection.", code="client_closed_request")
    return _sound(answer.task.result())


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _sound(trace: Trace) -> Trace:
    """Raises ApiError for a trace that is no answer."""
    if trace.failed:
        raise upstream_failure(trace.error or f"The solution ended as {trace.outcome.value}.")
    return trace


async def _chunks(answer: Answer, head: Head, chat: ChatRequest, *, at_once: bool) -> AsyncGenerator[Json, None]:
    """Each step when it is accepted, how the answer ended, and the usage if it is asked for; or an error at last."""
    try:
        yield head.chunk({"role": "assistant", "content": ""})
        shown = 0
        async for event in answer.events():
            if isinstance(event, Accepted) and at_once:
                text = event.step.text if shown == 0 else DEFAULT_SEPARATOR + event.step.text
                yield head.chunk({"content": text}, steproute=step_facts(event.step))
                shown += 1
            elif isinstance(event, Finished):
                for chunk in _end(_sound(event.trace), head, chat, shown == 0):
                    yield chunk
    except ApiError as failure:
        yield failure.body
    except SteprouteError as failure:
        yield api_error(failure).body
    finally:
        answer.cancel()


def _end(trace: Trace, head: Head, chat: ChatRequest, whole: bool) -> list[dict[str, Any]]:
    chunks = [head.chunk({"content": text_of(trace.steps)})] if whole and trace.steps else []
    chunks.append(head.chunk({}, finish_reason=finish_reason(trace), steproute=summary(trace)))
    if chat.stream_options is not None and chat.stream_options.include_usage:
        chunks.append(head.usage_chunk(trace))
    return chunks

