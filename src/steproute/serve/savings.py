"""`GET /v1/savings`: what a tenant spent, and what its answers would have cost without routing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from math import sqrt
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.errors import ApiError
from steproute.serve.gateway import Gateway
from steproute.store import Measured, Period, Savings, Selection

BASELINE = "modelled: the passthrough model reads each conversation once and writes as many tokens"
_ENOUGH: Final = 30
_QUANTILE: Final = 1.959964


async def savings(request: Request) -> Response:
    """By route and in all, of the days `first` to `last` of UTC, which may be left out."""
    gateway: Gateway = request.app.state.gateway
    period = Period(first=_day(request, "first"), last=_day(request, "last"))
    chosen = Selection(tenant=request.state.principal.tenant, period=period)
    routes, measured = await gateway.store.ledger.savings(chosen), await gateway.store.baselines.measured(chosen)
    return Response(msgspec.json.encode(report(routes, measured)), media_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBaseline:
    """What all requests would have cost without routing, by those that the passthrough model alone was also asked.

    low_usd, high_usd: of the 95 % interval, None below 30 requests. sample_usd: exact, what the sample did cost alone.
    """

    requests: int
    sample_usd: Decimal
    baseline_usd: float
    low_usd: float | None
    high_usd: float | None


def measured_baseline(saved: Savings, sample: Measured) -> MeasuredBaseline | None:
    """A ratio estimate: the modelled cost of all requests, times measured over modelled cost of the sample.

    The interval is that of the ratio by its linearisation and the normal distribution (Cochran, Sampling Techniques,
    chapter 6). None if the model says that the sample costs nothing.
    """
    if not sample.modelled_usd:
        return None
    count, ratio = sample.requests, float(sample.measured_usd / sample.modelled_usd)
    total = float(saved.baseline_usd)
    squares = sample.measured_squares - 2 * ratio * sample.products + ratio**2 * sample.modelled_squares
    low = high = None
    if count >= _ENOUGH:
        error = sqrt(max(0.0, squares) * count / (count - 1)) / float(sample.modelled_usd)
        low, high = ((ratio + sign * _QUANTILE * error) * total for sign in (-1, 1))
    return MeasuredBaseline(
        requests=count, sample_usd=sample.measured_usd, baseline_usd=ratio * total, low_usd=low, high_usd=high
    )


def measured_of(routes: Sequence[Savings], samples: Sequence[Measured]) -> list[MeasuredBaseline | None]:
    """Of each row, None without a sample."""
    found = {(each.tenant, each.route): each for each in samples}
    pairs = [(each, found.get((each.tenant, each.route))) for each in routes]
    return [None if sample is None else measured_baseline(each, sample) for each, sample in pairs]


def report(routes: Sequence[Savings], samples: Sequence[Measured] = ()) -> dict[str, Any]:
    """Savings as JSON, by tenant and route: dollars are exact decimals in text; estimates are numbers."""
    rows = [
        _row(each.requests, each.baseline_usd, each.spent_usd)
        | {"tenant": each.tenant, "route": each.route, "measured": _shown(measured)}
        for each, measured in zip(routes, measured_of(routes, samples), strict=True)
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


def _shown(measured: MeasuredBaseline | None) -> dict[str, Any] | None:
    return None if measured is None else asdict(measured) | {"sample_usd": _exact(measured.sample_usd)}


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
