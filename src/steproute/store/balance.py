"""What a tenant has spent, reserved and left, per window."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, select

from steproute.core.errors import ConfigError
from steproute.store.database import Database
from steproute.store.money import usd_of
from steproute.store.schema import tenants, windows
from steproute.store.tenants import instant
from steproute.store.windows import Window, day_start_s, end_s, month_start_s

_SPANS: Final[tuple[Literal["day", "month"], ...]] = ("day", "month")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A tenant's day or month. Limits are None if there are none."""

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


def balances(database: Database, tenant: str, connection: Connection) -> list[Balance]:
    """Today's and this month's. Raises ConfigError if the tenant is unknown."""
    limits = connection.execute(select(tenants).where(tenants.c.name == tenant)).mappings().one_or_none()
    if limits is None:
        raise ConfigError("is unknown.", where=f"tenant {tenant!r}", remedy="Create it first.")
    now_s = database.now_ms(connection) // 1000
    starts = {"day": day_start_s(now_s), "month": month_start_s(now_s)}
    mine = (windows.c.tenant == tenant, windows.c.start_s.in_(starts.values()), windows.c.span != "second")
    rows = {(row.span, row.start_s): row for row in connection.execute(select(windows).where(*mine))}
    return [_balance(span, starts[span], rows.get((span, starts[span]), Window()), limits) for span in _SPANS]


def _balance(span: Literal["day", "month"], start_s: int, counts: Any, limits: Any) -> Balance:
    limit_usd = limits[f"usd_per_{span}"]
    return Balance(
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
