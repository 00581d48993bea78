"""What is known of one request: who sent it, how it was answered, what it used and when what happened.

The middleware makes the record and closes it; handlers find it by `observed()` and add what they learn.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steproute.core.chat import ChatDelta
from steproute.core.events import Accepted, Event, Finished
from steproute.core.problem import Message as ChatMessage
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.serve.errors import ApiError
from steproute.store import Principal

REQUEST_ID: Final = "x-request-id"
"""The response header that OpenAI's clients show with an error."""
_OBSERVED_PATHS: Final = "/v1/"
_ELSEWHERE: Final = "(other)"
_NS: Final = 1e-9


@dataclass(slots=True, kw_only=True)
class Observed:
    """One request. Times are nanoseconds since 1970; `path` is the route's pattern, which holds nothing of the client.

    trace_id: of the answer, empty if there is none. status: of the response, 0 if none was sent. error: the code or
    type of an error. events: what happened and when, only if spans are wanted. headers: those of the request.
    """

    id: str
    method: str
    path: str
    headers: Headers
    began_ns: int
    ended_ns: int = 0
    status: int = 0
    error: str = ""
    principal: Principal | None = None
    route: str = ""
    trace_id: str = ""
    first_ns: int | None = None
    trace: Trace | None = None
    events: list[tuple[int, Event]] | None = None
    messages: Sequence[ChatMessage] = ()
    answering: asyncio.Task[Trace] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """From the request's arrival to its end."""
        return (self.ended_ns - self.began_ns) * _NS

    @property
    def first_step_s(self) -> float | None:
        """From the request's arrival to the first accepted step, or to the first piece of a reply passed through."""
        return None if self.first_ns is None else (self.first_ns - self.began_ns) * _NS

    @property
    def outcome(self) -> str:
        """How the answer ended; without one `ok`, `refused` or, for a fault of the gateway, `error`."""
        if self.trace is not None:
            return self.trace.outcome.value
        return "ok" if 0 < self.status < 400 else "error" if self.status >= 500 else "refused"

    def answered_by(
        self, route: str, trace_id: str, messages: Sequence[ChatMessage], task: "asyncio.Task[Trace]"
    ) -> None:
        """An answer has begun."""
        self.route, self.trace_id, self.messages, self.answering = route, trace_id, messages, task

    def failed(self, failure: ApiError) -> None:
        """The client got an error."""
        self.error = failure.code or failure.type

    def happened(self, event: Event | ChatDelta) -> None:
        """Something happened while the request was answered."""
        now = time.time_ns()
        if self.first_ns is None and isinstance(event, Accepted | ChatDelta):
            self.first_ns = now
        if isinstance(event, Finished):
            self.trace = event.trace
        if self.events is not None and not isinstance(event, ChatDelta):
            self.events.append((now, event))


_CURRENT: Final[ContextVar[Observed | None]] = ContextVar("observed", default=None)


def observed() -> Observed | None:
    """The request that this task works on."""
    return _CURRENT.get()


class Observing:
    """Records each request of the API and gives it an id; `finished` gets the record once all of it is known.

    That is when the response has ended and what it used is billed, whichever comes last.
    """

    def __init__(self, app: ASGIApp, finished: Callable[[Observed], None], *, with_events: bool) -> None:
        self._app, self._finished, self._with_events = app, finished, with_events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and read the response's status."""
        if scope["type"] != "http" or not scope["path"].startswith(_OBSERVED_PATHS):
            return await self._app(scope, receive, send)
        record = _record(scope, self._with_events)
        _CURRENT.set(record)

        async def passed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = record.id
            await send(message)

        try:
            await self._app(scope, receive, passed)
        except Exception as failure:
            record.status, record.error = record.status or 500, type(failure).__name__
            raise
        finally:
            self._close(record)

    def _close(self, record: Observed) -> None:
        if record.answering is None or record.answering.done():
            self._end(record)
        else:
            record.answering.add_done_callback(lambda _: self._end(record))

    def _end(self, record: Observed) -> None:
        record.ended_ns = time.time_ns()
        done = record.answering
        if done is not None and not done.cancelled() and done.exception() is None:
            record.trace = done.result()
        if record.outcome == Outcome.FAILED:
            record.error = record.error or "upstream_failed"
        self._finished(record)


def _record(scope: Scope, with_events: bool) -> Observed:
    return Observed(
        id=f"req_{secrets.token_hex(12)}",
        method=scope["method"],
        path=_pattern(scope),
        headers=Headers(scope=scope),
        began_ns=time.time_ns(),
        events=[] if with_events else None,
    )


def _pattern(scope: Scope) -> str:
    """The path as the application declares it."""
    matching = (route for route in scope["app"].routes if route.matches(scope)[0] is not Match.NONE)
    return next((route.path for route in matching), _ELSEWHERE)
