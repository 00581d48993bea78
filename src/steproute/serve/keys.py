"""Who asks: the API key of a request."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.errors import ApiError
from steproute.serve.gateway import Gateway
from steproute.serve.observed import observed
from steproute.store import KeyRefused, Principal

_LOG: Final = logging.getLogger("steproute.serve")
LOCAL: Final = "local"
"""The tenant of every request if the gateway needs no keys."""
Handler = Callable[[Request], Awaitable[Response]]


def authenticated(handler: Handler) -> Handler:
    """The handler for requests whose key is known; `request.state.principal` is whose it is."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        request.state.principal = principal = await _principal(request)
        if (record := observed()) is not None:
            record.principal = principal
        return await handler(request)

    return checked


async def _principal(request: Request) -> Principal:
    gateway: Gateway = request.app.state.gateway
    if not gateway.settings.keys:
        return await gateway.store.tenants.principal(LOCAL)
    try:
        return await gateway.store.tenants.authenticate(_key(request))
    except KeyRefused as refusal:
        _LOG.warning("a key was refused: %s %s", refusal.reason, refusal.key_id)
        raise ApiError(
            401,
            "The API key is missing, unknown or no longer valid. Send it as Bearer token or as x-api-key.",
            type="authentication_error",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        ) from None


def _key(request: Request) -> str:
    """From either header: OpenAI's clients use the first, and Anthropic's the second."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
