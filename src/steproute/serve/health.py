"""`/healthz`: the process runs. `/readyz`: its ledger and every model's server answer."""

import asyncio
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.errors import SteprouteError
from steproute.core.ports import ServedModel, StepModel
from steproute.serve.gateway import Gateway

_PROBE_S: Final = 5.0


async def healthz(request: Request) -> Response:
    """Always 200."""
    return _json({"status": "ok"}, 200)


async def readyz(request: Request) -> Response:
    """200 if requests can be answered, else 503 with what does not answer."""
    gateway: Gateway = request.app.state.gateway
    models = gateway.setup.roles.models
    faults = await asyncio.gather(
        _fault(gateway.store.ping()), *(_fault(_asked(role.model)) for role in models.values())
    )
    parts = dict(zip(["ledger", *models], faults, strict=True))
    ready = not gateway.draining and not any(parts.values())
    status = "ready" if ready else "draining" if gateway.draining else "not ready"
    return _json(
        {"status": status, "parts": {name: fault or "ok" for name, fault in parts.items()}}, 200 if ready else 503
    )


async def _asked(model: StepModel) -> None:
    """Have its server list its models, which costs nothing; a model in this process is there."""
    if isinstance(model, ServedModel):
        await model.served()


async def _fault(probe: Any) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await probe
    except TimeoutError:
        return f"no answer within {_PROBE_S:.0f} s"
    except SteprouteError as failure:
        return failure.message
    return ""


def _json(fields: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(fields), status_code=status, media_type="application/json")
