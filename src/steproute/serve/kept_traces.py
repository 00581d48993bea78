"""`GET /v1/traces/ID`: one answer with its account and every decision, for the tenant that asked for it."""

from dataclasses import replace
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.trace import Trace
from steproute.serve.errors import ApiError, without_address
from steproute.serve.gateway import Gateway

_ENCODER: Final = msgspec.json.Encoder(decimal_format="string", enc_hook=dict)


async def kept_trace(request: Request) -> Response:
    """The trace, and the conversation if conversations are kept. Another tenant's is not found."""
    gateway: Gateway = request.app.state.gateway
    kept = await gateway.store.traces.get(request.path_params["name"], request.state.principal.tenant)
    if kept is None:
        raise ApiError(404, "There is no such trace, or it is older than the gateway keeps them.", param="name")
    fields = {"id": kept.request_id, "created": kept.created, "trace": _shown(kept.trace), "messages": kept.messages}
    return Response(_ENCODER.encode(fields), media_type="application/json")


def _shown(trace: Trace) -> Trace:
    """Without the addresses of the models' servers."""
    return replace(
        trace,
        error=None if trace.error is None else without_address(trace.error),
        notes=tuple(map(without_address, trace.notes)),
        fallbacks=tuple(replace(each, reason=without_address(each.reason)) for each in trace.fallbacks),
    )
