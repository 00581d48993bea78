"""`POST /v1/chat/completions`: one answer, whole or as a stream of steps."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.chat import ChatDelta
from steproute.core.errors import SteprouteError
from steproute.core.events import Finished
from steproute.core.trace import Trace
from steproute.serve.answering import Answer
from steproute.serve.chat_reply import Head, PassedChoices, finish_reason, sound, step_choices
from steproute.serve.chat_request import Chat
from steproute.serve.chat_stream import AnswerStream, first_happenings, unless_left
from steproute.serve.errors import ApiError
from steproute.serve.face import DONE, Face, Json, SseEvent, renamed, sse
from steproute.serve.gateway import Gateway
from steproute.serve.requested import Requested


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
        return await _replied(request, chat, face)
    except (ApiError, SteprouteError) as failure:
        raise renamed(failure, face.names) from failure


async def _replied(request: Request, chat: Chat, face: Face) -> Response:
    requested, answer = await _begun(request, chat)
    trace_id = requested.work.trace_id
    head = Head(trace_id=trace_id, model=chat.body.model, created=int(time.time()), facts=requested.facts)
    headers = {"x-steproute-trace-id": head.trace_id}
    if chat.body.stream:
        begun = await first_happenings(request, answer, at_once=requested.at_once)
        return AnswerStream(answer, begun, head, chat.body, face, at_once=requested.at_once, headers=headers)
    trace, choices = await _read(request, answer)
    headers["x-steproute-cost-usd"] = f"{trace.cost_usd:f}"
    reply = msgspec.json.encode(face.whole(head.completion(trace, choices)))
    return Response(reply, media_type="application/json", headers=headers)


async def _begun(request: Request, chat: Chat) -> tuple[Requested, Answer]:
    gateway: Gateway = request.app.state.gateway
    requested = await gateway.request(chat, request.state.principal)
    answer = gateway.answer(requested, request.state.principal)
    await answer.admitted()
    return requested, answer


async def _read(request: Request, answer: Answer) -> tuple[Trace, list[dict[str, Any]]]:
    """The whole answer; a client that leaves before it is there cancels it. Raises ApiError then."""
    reading = asyncio.create_task(_whole(answer))
    try:
        await unless_left(request, reading)
        return await reading
    finally:
        reading.cancel()
        answer.cancel()


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
