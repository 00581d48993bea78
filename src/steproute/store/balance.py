"""What a tenant has spent, reserved and left, per window."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, or_, select

from steproute.core.errors import ConfigError
from steproute.store.database import Database
from steproute.store.money import usd_of
from steproute.store.schema import tenants, windows
from steproute.store.tenants import instant
from steproute.store.windows import Window, day_start_s, end_s, month_start_s

_SPANS: Final[tuple[Literal["day", "month"], ...]] = ("day", "month")
_COUNTS: Final = ("spent_usd", "reserved_usd", "spent_tokens", "reserved_tokens", "requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A tenant's day or month. Limits are None if there are none."""

    tenant: str
    window: Literal["day", "month"]
    starts: datetime
    ends: datetime
    limit_usd: Decimal | None
    spent_usd: Decimal
    reserved_usd: Decimal
    limit_tokens: int | None
    spent_tokens: int
    reserved_tokens: int
    requests: int

    @property
    def left_usd(self) -> Decimal | None:
        """What a new request may still reserve; None if there is no limit."""
        return None if self.limit_usd is None else max(Decimal(0), self.limit_usd - self.spent_usd - self.reserved_usd)

    @property
    def left_tokens(self) -> int | None:
        """What a new request may still reserve; None if there is no limit."""
        held = self.spent_tokens + self.reserved_tokens
        return None if self.limit_tokens is None else max(0, self.limit_tokens - held)


def balances(database: Database, tenant: str | None, connection: Connection) -> list[Balance]:
    """Today's and this month's, of one tenant or of all by name. Raises ConfigError if the tenant is unknown."""
    now_s = database.now_ms(connection) // 1000
    starts = {"day": day_start_s(now_s), "month": month_start_s(now_s)}
    current = or_(*(and_(windows.c.span == span, windows.c.start_s == start) for span, start in starts.items()))
    joined_rows = tenants.outerjoin(windows, and_(windows.c.tenant == tenants.c.name, current))
    chosen = select(tenants, *(windows.c[name] for name in ("span", *_COUNTS))).select_from(joined_rows)
    if tenant is not None:
        chosen = chosen.where(tenants.c.name == tenant)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(chosen.order_by(tenants.c.name)):
        found.setdefault(row.name, {"limits": row._mapping})[row.span] = row
    if tenant is not None and not found:
        raise ConfigError("is unknown.", where=f"tenant {tenant!r}", remedy="Create it first.")
    return [
        _balance(span, starts[span], rows.get(span, Window()), rows["limits"])
        for rows in found.values()
        for span in _SPANS
    ]


def _balance(span: Literal["day", "month"], start_s: int, counts: Any, limits: Any) -> Balance:
    limit_usd = limits[f"usd_per_{span}"]
    return Balance(
        tenant=limits["name"],
        window=span,
        starts=instant(start_s * 1000),
        ends=instant(end_s(span, start_s) * 1000),
        limit_usd=None if limit_usd is None else usd_of(limit_usd),
        spent_usd=usd_of(counts.spent_usd),
        reserved_usd=usd_of(counts.reserved_usd),
        limit_tokens=limits[f"tokens_per_{span}"],
        spent_tokens=counts.spent_tokens,
        reserved_tokens=counts.reserved_tokens,
        requests=counts.requests,
    )
