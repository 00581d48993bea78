"""`POST /v1/chat/completions`: one answer, whole or as a stream of steps."""

import asyncio
import time
from collections.abc import AsyncIterator
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
from steproute.serve.chat_reply import Head, finish_reason, step_facts, summary, text_of
from steproute.serve.chat_request import ChatRequest, read_chat_request
from steproute.serve.errors import ApiError, api_error, upstream_failure
from steproute.serve.gateway import Gateway
from steproute.store import Principal

KEEP_ALIVE_S: Final = 10
_DONE: Final = "[DONE]"


async def chat_completions(request: Request) -> Response:
    """Answer a conversation by the route that it names as its model."""
    gateway: Gateway = request.app.state.gateway
    principal: Principal = request.state.principal
    chat, fields = read_chat_request(await request.body())
    served = gateway.route(chat.model)
    work = gateway.work(chat, fields, served, principal)
    answer = gateway.answer(served.route.name, work, principal)
    await _admitted(answer)
    head = Head(trace_id=work.problem.id, model=chat.model, created=int(time.time()))
    headers = {"x-steproute-trace-id": head.trace_id}
    if not chat.stream:
        trace = await _whole(request, answer)
        headers["x-steproute-cost-usd"] = f"{trace.cost_usd:f}"
        return Response(msgspec.json.encode(head.completion(trace)), media_type="application/json", headers=headers)
    return EventSourceResponse(
        _chunks(answer, head, chat, at_once=not served.retracts), headers=headers, sep="\n", ping=KEEP_ALIVE_S
    )


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
        answer.cancel()
    if not answer.task.done():
        raise ApiError(499, "The client closed the connection.", code="client_closed_request")
    return _sound(answer.result())


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _sound(trace: Trace) -> Trace:
    """Raises ApiError for a trace that is no answer."""
    if trace.failed:
        raise upstream_failure(trace.error or f"The solution ended as {trace.outcome.value}.")
    return trace


async def _chunks(answer: Answer, head: Head, chat: ChatRequest, *, at_once: bool) -> AsyncIterator[dict[str, str]]:
    """Server-sent events: each step when it is accepted, how it ended, the usage if it is asked for, and the end."""
    try:
        yield _event(head.chunk({"role": "assistant", "content": ""}))
        shown = 0
        async for event in answer.events():
            if isinstance(event, Accepted) and at_once:
                text = event.step.text if shown == 0 else DEFAULT_SEPARATOR + event.step.text
                yield _event(head.chunk({"content": text}, steproute=step_facts(event.step)))
                shown += 1
            elif isinstance(event, Finished):
                for chunk in _end(_sound(event.trace), head, chat, shown == 0):
                    yield _event(chunk)
    except ApiError as failure:
        yield _event(failure.body)
    except SteprouteError as failure:
        yield _event(api_error(failure).body)
    finally:
        answer.cancel()
    yield {"data": _DONE}


def _end(trace: Trace, head: Head, chat: ChatRequest, whole: bool) -> list[dict[str, Any]]:
    chunks = [head.chunk({"content": text_of(trace.steps)})] if whole and trace.steps else []
    chunks.append(head.chunk({}, finish_reason=finish_reason(trace), steproute=summary(trace)))
    if chat.stream_options is not None and chat.stream_options.include_usage:
        chunks.append(head.usage_chunk(trace))
    return chunks


def _event(chunk: dict[str, Any]) -> dict[str, str]:
    return {"data": msgspec.json.encode(chunk).decode()}
