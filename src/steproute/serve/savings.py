"""`GET /v1/savings`: what a tenant spent, and what its answers would have cost without routing."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.errors import ApiError
from steproute.serve.gateway import Gateway
from steproute.store import Period, Savings, Selection

BASELINE = "modelled: the passthrough model reads each conversation once and writes as many tokens"


async def savings(request: Request) -> Response:
    """By route and in all, of the days `first` to `last` of UTC, which may be left out."""
    gateway: Gateway = request.app.state.gateway
    period = Period(first=_day(request, "first"), last=_day(request, "last"))
    chosen = Selection(tenant=request.state.principal.tenant, period=period)
    routes = await gateway.store.ledger.savings(chosen)
    return Response(msgspec.json.encode(report(routes)), media_type="application/json")


def report(routes: Sequence[Savings]) -> dict[str, Any]:
    """Savings as JSON, by tenant and route: dollars are exact decimals in text."""
    rows = [
        _row(each.requests, each.baseline_usd, each.spent_usd) | {"tenant": each.tenant, "route": each.route}
        for each in routes
    ]
    total = _row(
        sum(each.requests for each in routes),
        sum((each.baseline_usd for each in routes), Decimal(0)),
        sum((each.spent_usd for each in routes), Decimal(0)),
    )
    return {"baseline": BASELINE, "total": total, "routes": rows}


def _row(requests: int, baseline_usd: Decimal, spent_usd: Decimal) -> dict[str, Any]:
    return {
        "requests": requests,
        "baseline_usd": _exact(baseline_usd),
        "spent_usd": _exact(spent_usd),
        "saved_usd": _exact(baseline_usd - spent_usd),
    }


def _exact(usd: Decimal) -> str:
    return f"{usd.normalize():f}"


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ApiError(400, f"{name}: {text[:40]!r} is no day such as 2026-11-26.", param=name) from None
