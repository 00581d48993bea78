"""`POST /v1/chat/completions`: one answer, whole or as a stream of steps."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
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
from steproute.serve.errors import ApiError, api_error, upstream_failure
from steproute.serve.gateway import Gateway

KEEP_ALIVE_S: Final = 10
_T = TypeVar("_T")
_DONE: Final = "[DONE]"


async def chat_completions(request: Request) -> Response:
    """Answer a conversation by the route that it names as its model."""
    gateway: Gateway = request.app.state.gateway
    chat = Chat.from_json(await request.body())
    body, requested = chat.body, await gateway.request(chat, request.state.principal)
    answer = gateway.answer(requested, request.state.principal)
    await answer.admitted()
    trace_id = requested.work.trace_id
    head = Head(trace_id=trace_id, model=body.model, created=int(time.time()), facts=requested.facts)
    headers = {"x-steproute-trace-id": head.trace_id}
    if not body.stream:
        trace, choices = await until_left(request, answer, _whole(answer))
        headers["x-steproute-cost-usd"] = f"{trace.cost_usd:f}"
        reply = msgspec.json.encode(head.completion(trace, choices))
        return Response(reply, media_type="application/json", headers=headers)
    chunks = _chunks(answer, head, body, at_once=not requested.served.retracts)
    return EventSourceResponse(chunks, headers=headers, sep="\n", ping=KEEP_ALIVE_S)


async def until_left(request: Request, answer: Answer, reading: Coroutine[Any, Any, _T]) -> _T:
    """The whole answer; a client that leaves before it is there cancels it. Raises ApiError then."""
    leaving, read = asyncio.create_task(_left(request)), asyncio.create_task(reading)
    try:
        await asyncio.wait({leaving, read}, return_when=asyncio.FIRST_COMPLETED)
        if not read.done():
            raise ApiError(499, "The client closed the connection.", code="client_closed_request")
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
    return trace, passed.whole or step_choices(trace)


def sound(trace: Trace) -> Trace:
    """Raises ApiError for a trace that is no answer."""
    if trace.failed:
        raise upstream_failure(trace.error or f"The solution ended as {trace.outcome.value}.")
    return trace


async def _chunks(answer: Answer, head: Head, body: ChatBody, *, at_once: bool) -> AsyncIterator[dict[str, str]]:
    """Server-sent events: each step when it is accepted, how it ended, the usage if it is asked for, and the end."""
    try:
        yield _event(head.chunk({"role": "assistant", "content": ""}))
        shown = passed = 0
        async for happening in answer.happenings():
            if isinstance(happening, ChatDelta) and happening.call is None:
                yield _event(head.passed_chunk(happening))
                passed += 1
            elif isinstance(happening, Accepted) and at_once:
                step = happening.step
                text = step.text if shown == 0 else DEFAULT_SEPARATOR + step.text
                yield _event(head.chunk({"content": text}, steproute=step_facts(step)))
                shown += 1
            elif isinstance(happening, Finished):
                for chunk in _end(
                    sound(happening.trace), head, body, is_shown=shown + passed > 0, is_passed=passed > 0
                ):
                    yield _event(chunk)
    except ApiError as failure:
        yield _event(failure.body)
    except SteprouteError as failure:
        yield _event(api_error(failure).body)
    finally:
        answer.cancel()
    yield {"data": _DONE}


def _end(trace: Trace, head: Head, body: ChatBody, *, is_shown: bool, is_passed: bool) -> list[dict[str, Any]]:
    """The last chunks: the text if no step was shown, how it ended, and the usage if it is asked for.

    A reply that is passed through has had its finish reason already.
    """
    chunks = [] if is_shown or not trace.steps else [head.chunk({"content": text_of(trace.steps)})]
    reason = None if is_passed else finish_reason(trace)
    chunks.append(head.chunk({}, finish_reason=reason, steproute=head.summary(trace)))
    if body.stream_options is not None and body.stream_options.include_usage:
        chunks.append(head.usage_chunk(trace))
    return chunks


def _event(chunk: dict[str, Any]) -> dict[str, str]:
    return {"data": msgspec.json.encode(chunk).decode()}
