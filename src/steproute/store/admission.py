"""Whether a tenant's limits allow one more request, and which limit refuses it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from steproute.store.batch import Batch
from steproute.store.money import MOST_UNITS, usd_of
from steproute.store.refusal import Kind, Shortage, Unit
from steproute.store.windows import MINUTE_S, Window, WindowKey, end_s, newest

_ORDER: Final[tuple[Kind, ...]] = ("budget", "rate", "held")
_HELD_RETRY_S: Final = 1.0
_COUNTED: Final[tuple[Literal["usd", "tokens"], ...]] = ("usd", "tokens")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks for, in units of 10^-12 US dollars and in tokens."""

    tenant: str
    usd: int
    tokens: int


def shortage(batch: Batch, demand: Demand, budgets: Sequence[WindowKey]) -> Shortage | None:
    """The limit that refuses longest; None if all allow it. budgets: the keys of the month and the day."""
    found = [*_budget_shortages(batch, demand, budgets), *_rate_shortages(batch, demand)]
    return min(found, key=_severity, default=None)


def fits(batch: Batch, demand: Demand, budgets: Sequence[WindowKey]) -> bool:
    """Whether the budgets still have room; rates do not count."""
    return next(_budget_shortages(batch, demand, budgets), None) is None


def _severity(each: Shortage) -> tuple[int, float]:
    wait = float("inf") if each.retry_after_s is None else each.retry_after_s
    return _ORDER.index(each.kind), -wait


def _budget_shortages(batch: Batch, demand: Demand, budgets: Sequence[WindowKey]) -> Iterator[Shortage]:
    limits = batch.tenants[demand.tenant]
    for key in budgets:
        window = batch.window(key)
        left_s = end_s(key.span, key.start_s) - batch.now_ms / 1000
        for unit in _COUNTED:
            limit = limits[f"{unit}_per_{key.span}"]
            found = _budget_shortage(key, window, unit, MOST_UNITS if limit is None else limit, demand, left_s)
            if found is not None:
                yield found


def _budget_shortage(
    key: WindowKey, window: Window, unit: Literal["usd", "tokens"], limit: int, demand: Demand, left_s: float
) -> Shortage | None:
    spent, reserved, asked = _counts(window, demand, unit)
    if spent + reserved + asked <= limit or asked == 0:
        return None
    over = spent + asked > limit
    wait = None if asked > limit else left_s if over else min(_HELD_RETRY_S, left_s)
    return Shortage(
        kind="budget" if over else "held",
        unit=unit,
        window="day" if key.span == "day" else "month",
        limit=_amount(limit, unit),
        spent=_amount(spent, unit),
        reserved=_amount(reserved, unit),
        asked=_amount(asked, unit),
        retry_after_s=wait,
    )


def _counts(window: Window, demand: Demand, unit: Unit) -> tuple[int, int, int]:
    if unit == "usd":
        return window.spent_usd, window.reserved_usd, demand.usd
    return window.spent_tokens, window.reserved_tokens, demand.tokens


def _rate_shortages(batch: Batch, demand: Demand) -> Iterator[Shortage]:
    limits = batch.tenants[demand.tenant]
    own = [item for item in batch.windows.items() if item[0].tenant == demand.tenant and item[0].span == "second"]
    seconds = newest(own, batch.now_s)
    requests = [(start_s, window.requests) for start_s, window in seconds]
    tokens = [(start_s, window.spent_tokens + window.reserved_tokens) for start_s, window in seconds]
    for unit, asked, counts in (("requests", 1, requests), ("tokens", demand.tokens, tokens)):
        limit = limits[f"{unit}_per_minute"]
        used = sum(count for _, count in counts)
        if limit is not None and asked and used + asked > limit:
            yield Shortage(
                kind="rate",
                unit="requests" if unit == "requests" else "tokens",
                window="minute",
                limit=Decimal(limit),
                spent=Decimal(used),
                reserved=Decimal(0),
                asked=Decimal(asked),
                retry_after_s=_rate_wait_s(counts, used + asked - limit, batch.now_ms) if asked <= limit else None,
            )


def _rate_wait_s(counts: Sequence[tuple[int, int]], excess: int, now_ms: int) -> float:
    """Until the oldest seconds that hold the excess no longer count."""
    for start_s, count in counts:
        excess -= count
        if excess <= 0:
            return start_s + MINUTE_S + 1 - now_ms / 1000
    return float(MINUTE_S)


def _amount(units: int, unit: Unit) -> Decimal:
    return usd_of(units) if unit == "usd" else Decimal(units)
