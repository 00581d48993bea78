"""The ASGI application: its paths, and how errors look."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from steproute.config import Setup
from steproute.core.errors import ConfigError, SteprouteError
from steproute.serve.body_limit import BodyLimit
from steproute.serve.chat import chat_completions
from steproute.serve.completions import completions
from steproute.serve.draining import OpenResponses, drain_on_signal
from steproute.serve.errors import NEVER_RETRY, ApiError, api_error, client_left
from steproute.serve.gateway import Gateway
from steproute.serve.health import healthz, readyz
from steproute.serve.kept_traces import kept_trace
from steproute.serve.keys import LOCAL, authenticated
from steproute.serve.logs import log_request
from steproute.serve.measuring import BASELINE
from steproute.serve.messages import PATH as MESSAGES_PATH
from steproute.serve.messages import error_body, messages
from steproute.serve.metrics import metrics
from steproute.serve.models import model, models
from steproute.serve.observed import REQUEST_ID, Observed, Observing, observed
from steproute.serve.openapi import openapi
from steproute.serve.responses import responses
from steproute.serve.retention import keep_within
from steproute.serve.savings import savings
from steproute.serve.simulate import simulate
from steproute.serve.tracing import spans_of
from steproute.store import open_store

_LOG: Final = logging.getLogger("steproute.serve")
_EXPIRE_S: Final = 10.0
_WATCH_S: Final = 1.0


def application(setup: Setup, database: str) -> Starlette:
    """The gateway of a configuration, its ledger in `database`. Starting it raises ConfigError for what cannot run."""

    spans = spans_of(setup)

    def finished(request: Observed) -> None:
        log_request(request)
        app.state.gateway.metrics.ended(request)
        if spans is not None:
            spans.export(request)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings = setup.gateway.serve
        worker = f"{socket.gethostname()}:{os.getpid()}"
        store = await open_store(database, worker=worker, lease_s=settings.lease_s)
        app.state.gateway = gateway = Gateway.of(setup, store)
        for name in _own_tenants(gateway):
            with suppress(ConfigError):  # it is there from the time before
                await store.tenants.create(name)
        drain_on_signal(gateway)
        watched = _clean(gateway), keep_within(store, settings), _watch(gateway)
        background = [asyncio.create_task(each) for each in watched]
        with suppress(asyncio.CancelledError):  # a second signal ends everything at once, the ledger's writer as well
            try:
                yield
            finally:
                await gateway.drain()
                for task in background:
                    task.cancel()
                await store.close()
                if spans is not None:
                    await asyncio.to_thread(spans.close)

    handlers: dict[Any, Callable[[Request, Any], Any]] = {
        ApiError: _refusal,
        SteprouteError: _failure,
        HTTPException: _http_error,
        ClientDisconnect: _left,
        Exception: _fault,
    }
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", authenticated(chat_completions), methods=["POST"]),
            Route("/v1/completions", authenticated(completions), methods=["POST"]),
            Route("/v1/responses", authenticated(responses), methods=["POST"]),
            Route(MESSAGES_PATH, authenticated(messages), methods=["POST"]),
            Route("/v1/savings", authenticated(savings), methods=["GET"]),
            Route("/v1/traces/{name}", authenticated(kept_trace), methods=["GET"]),
            Route("/v1/simulate", authenticated(simulate), methods=["POST"]),
            Route("/v1/models", authenticated(models), methods=["GET"]),
            Route("/v1/models/{name:path}", authenticated(model), methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
        ],
        middleware=[
            Middleware(OpenResponses),
            Middleware(Observing, finished=finished, with_events=spans is not None),
            Middleware(BodyLimit, most_bytes=round(setup.gateway.serve.max_body_mb * 1e6)),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    return app


def _own_tenants(gateway: Gateway) -> list[str]:
    """The tenants that the gateway itself needs."""
    measures = any(served.route.baseline_share for served in gateway.routes.values())
    return [LOCAL] * (not gateway.settings.keys) + [BASELINE.tenant] * measures


async def _clean(gateway: Gateway) -> None:
    """Release the reservations of workers that died."""
    settings = gateway.settings
    while True:
        try:
            await gateway.store.ledger.expire()
        except Exception as failure:  # the next round tries again, whatever it was
            _LOG.warning("expired reservations could not be released: %s", failure)
        await asyncio.sleep(min(_EXPIRE_S, settings.lease_s / 8))


async def _watch(gateway: Gateway) -> None:
    """Measure what `/metrics` shows of each worker, whichever of them is asked."""
    while True:
        gateway.metrics.watch(gateway.setup.roles)
        gateway.metrics.watch_worker()
        await asyncio.sleep(_WATCH_S)


async def _refusal(request: Request, failure: ApiError) -> Response:
    if (record := observed()) is not None:
        record.failed(failure)  # counted once it has ended
    else:
        request.app.state.gateway.metrics.refused.labels(failure.status, failure.code or failure.type).inc()
    body = msgspec.json.encode(error_body(failure) if request.url.path.startswith(MESSAGES_PATH) else failure.body)
    return Response(body, status_code=failure.status, media_type="application/json", headers=failure.headers)


async def _failure(request: Request, failure: SteprouteError) -> Response:
    return await _refusal(request, api_error(failure))


async def _http_error(request: Request, failure: HTTPException) -> Response:
    """Paths and methods that there are not."""
    message = f"{request.method} {request.url.path[:200]}: {failure.detail}."
    return await _refusal(request, ApiError(failure.status_code, message, headers=failure.headers or {}))


async def _left(request: Request, failure: ClientDisconnect) -> Response:
    """The connection ended before the body did."""
    return await _refusal(request, client_left())


async def _fault(request: Request, failure: Exception) -> Response:
    """A fault of the gateway itself; what it was is in the log, not in the answer."""
    record = observed()
    _LOG.error("%s %s failed", request.method, record.path if record else "", exc_info=failure)
    message = "The gateway failed. Its log says more."
    named = {REQUEST_ID: record.id} if record else {}
    return await _refusal(request, ApiError(500, message, type="server_error", headers={**NEVER_RETRY, **named}))
