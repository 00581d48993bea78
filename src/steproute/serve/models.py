"""`GET /v1/models`: each route is a model."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.chat_request import PREFIX
from steproute.serve.gateway import Gateway
from steproute.serve.requested import ServedRoute


async def models(request: Request) -> Response:
    """All routes."""
    gateway: Gateway = request.app.state.gateway
    listed = [_listed(gateway, name, served) for name, served in gateway.routes.items()]
    return _json({"object": "list", "data": listed})


async def model(request: Request) -> Response:
    """One route. Raises ApiError for a name that there is not."""
    gateway: Gateway = request.app.state.gateway
    served = gateway.route(request.path_params["name"])
    return _json(_listed(gateway, served.route.name, served))


def _listed(gateway: Gateway, name: str, served: ServedRoute) -> dict[str, Any]:
    facts = {"route": served.name, "passthrough": served.route.passthrough}
    return {
        "id": PREFIX + name,
        "object": "model",
        "created": gateway.created,
        "owned_by": "steproute",
        "steproute": facts,
    }


def _json(fields: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(fields), media_type="application/json")
