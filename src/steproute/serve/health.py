"""`/healthz`: the process runs. `/readyz`: its ledger answers, and the models of a route do."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.gateway import Gateway


async def healthz(request: Request) -> Response:
    """Always 200."""
    return _json({"status": "ok"}, 200)


async def readyz(request: Request) -> Response:
    """200 if any route can answer, else 503; with the state of the ledger, each role and each route."""
    gateway: Gateway = request.app.state.gateway
    found = await gateway.readiness.state()
    status = "draining" if gateway.draining else "ready" if found.serves else "not ready"
    fields = {"status": status, "ledger": found.ledger, "roles": found.roles, "routes": found.routes}
    return _json(fields, 200 if status == "ready" else 503)


def _json(fields: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(fields), status_code=status, media_type="application/json")
