"""Sums and rows of the ledger, straight from its lines."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, Subquery, func, literal_column, select, tuple_, union_all

from steproute.core.errors import ConfigError
from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.store.database import Database
from steproute.store.money import SPLIT, joined, usd_of
from steproute.store.records import HELD
from steproute.store.schema import RATES, TOKENS, daily_calls, daily_requests, lines, prices, requests
from steproute.store.tenants import instant

Field = Literal["tenant", "day", "route", "role", "model", "purpose", "key_id", "request_id"]

_FIELDS: Final = ("tenant", "day", "route", "role", "model", "purpose", "key_id", "request_id")
_PAGE: Final = 1000
_ONE: Final[ColumnElement[int]] = literal_column("1")
_NO_TEXT: Final[ColumnElement[str]] = literal_column("''")
_PER_MILLION: Final = Decimal(10) ** 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days in UTC, both included; None is no bound. A request belongs to the day on which it was admitted."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Requests of one tenant and of one of the gateway's routes, within days; None chooses all."""

    tenant: str | None = None
    route: str | None = None
    period: Period = Period()


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The calls of one group. group: the values of the fields, in their order; days as ISO dates."""

    group: tuple[str, ...]
    calls: int
    usage: Usage
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """A tenant's requests to a route that have ended. spent_usd: of all calls, those of requests that go on too.

    baseline_usd: what the requests were closed with.
    """

    tenant: str
    route: str
    requests: int
    baseline_usd: Decimal
    spent_usd: Decimal

    @property
    def saved_usd(self) -> Decimal:
        """Net of everything that was spent; negative if routing cost more."""
        return self.baseline_usd - self.spent_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One billed call with its request. price: what it was billed at, None if the request did not say."""

    request_id: str
    number: int
    tenant: str
    key_id: str
    route: str
    day: date
    settled: datetime
    line: AccountLine
    price: Price | None


ALL_DAYS: Final = Period()
ALL: Final = Selection()


def totals(by: Sequence[Field], selection: Selection, connection: Connection) -> list[Total]:
    """Sums per group, in the order of the groups. Raises ConfigError for an unknown field."""
    for name in by:
        if name not in _FIELDS:
            raise ConfigError(f"{name!r} is no field.", where="by", remedy=f"Use {', '.join(_FIELDS)}.")
    calls = calls_of(selection).c
    groups = [calls.day_s if name == "day" else calls[name] for name in by]
    sums = [func.sum(calls[name]) for name in ("calls", *TOKENS)]
    statement = select(*groups, *money(calls.cost_usd), *sums).group_by(*groups).order_by(*groups)
    return [_total(by, list(row)) for row in connection.execute(statement) if row[len(by) + 2]]


def savings(selection: Selection, connection: Connection) -> list[Savings]:
    """By tenant and route, in the order of their names."""
    spent = {total.group: total.cost_usd for total in totals(("tenant", "route"), selection, connection)}
    ended = ended_of(selection).c
    by = (ended.tenant, ended.route)
    rows = connection.execute(select(*by, func.sum(ended.requests), *money(ended.baseline_usd)).group_by(*by))
    closed: dict[tuple[str, ...], tuple[int, int, int]] = {
        (row[0], row[1]): (int(row[2]), row[3], row[4]) for row in rows
    }
    return [_savings(key, closed.get(key, (0, 0, 0)), spent.get(key, Decimal(0))) for key in sorted(spent | closed)]


def _savings(key: tuple[str, ...], closed: tuple[int, int, int], spent_usd: Decimal) -> Savings:
    count, high, low = closed
    baseline_usd = usd_of(joined(high, low))
    return Savings(tenant=key[0], route=key[1], requests=count, baseline_usd=baseline_usd, spent_usd=spent_usd)


def unaccounted_usd(selection: Selection, connection: Connection) -> Decimal:
    """What killed workers had reserved and never accounted for: the most that their last calls can have cost."""
    statement = select(*money(ended_of(selection).c.unaccounted_usd))
    high, low = connection.execute(statement).one()
    return usd_of(joined(high, low))


def folded_usd(selection: Selection, connection: Connection) -> Decimal:
    """What the calls have cost of which no line is left."""
    statement = select(*money(daily_calls.c.cost_usd)).where(*within(daily_calls.c, selection))
    high, low = connection.execute(statement).one()
    return usd_of(joined(high, low))


def calls_of(selection: Selection) -> Subquery:
    """The lines, and beside them the sums of days that have none left; `request_id` of those is empty."""
    names = ("day_s", "month_s", "role", "model", "purpose", *TOKENS, "cost_usd")
    of_requests = (requests.c.tenant, requests.c.route, requests.c.key_id, lines.c.request_id)
    kept = _chosen(select(*of_requests, _ONE.label("calls"), *(lines.c[name] for name in names)), selection)
    of_days = (daily_calls.c.tenant, daily_calls.c.route, daily_calls.c.key_id, _NO_TEXT.label("request_id"))
    folded = select(*of_days, daily_calls.c.calls, *(daily_calls.c[name] for name in names))
    return union_all(kept, folded.where(*within(daily_calls.c, selection))).subquery()


def ended_of(selection: Selection) -> Subquery:
    """The requests that have ended, and beside them the sums of days that have none left."""
    names = ("tenant", "route", "day_s", "month_s", "baseline_usd", "unaccounted_usd")
    kept = select(_ONE.label("requests"), *(requests.c[name] for name in names))
    folded = select(daily_requests.c.requests, *(daily_requests.c[name] for name in names))
    return union_all(
        kept.where(requests.c.state.not_in(HELD), *within(requests.c, selection)),
        folded.where(*within(daily_requests.c, selection)),
    ).subquery()


async def ledger_lines(database: Database, selection: Selection) -> AsyncIterator[LedgerLine]:
    """Every line, by request, a page at a time."""
    page = _first_page(selection)
    while rows := await database.read(partial(_rows, page)):
        for row in rows:
            yield _line(row)
        page = _after(page, rows[-1])


def line_pages(selection: Selection, connection: Connection) -> Iterator[list[LedgerLine]]:
    """The same within one transaction."""
    page = _first_page(selection)
    while rows := _rows(page, connection):
        yield [_line(row) for row in rows]
        page = _after(page, rows[-1])


def _first_page(selection: Selection) -> "Select[Any]":
    columns = [requests.c.key_id, requests.c.route, *lines.c]
    rates = [prices.c[name].label(f"{name}_rate") for name in RATES]
    statement = _chosen(select(*columns, *rates), selection).outerjoin(prices)
    return statement.order_by(lines.c.request_id, lines.c.number).limit(_PAGE)


def _after(page: "Select[Any]", last: Any) -> "Select[Any]":
    return page.where(tuple_(lines.c.request_id, lines.c.number) > (last.request_id, last.number))


def _rows(statement: "Select[Any]", connection: Connection) -> Sequence[Any]:
    return connection.execute(statement).all()


def money(column: ColumnElement[int]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Two sums in place of one that could exceed the largest whole number."""
    return func.coalesce(func.sum(column // SPLIT), 0), func.coalesce(func.sum(column % SPLIT), 0)


def _chosen(statement: "Select[Any]", selection: Selection) -> "Select[Any]":
    joined_rows = statement.select_from(lines).join(requests, requests.c.id == lines.c.request_id)
    return joined_rows.where(*within(requests.c, selection))


def within(columns: Any, selection: Selection) -> list[ColumnElement[bool]]:
    """The conditions of a selection on a table with the columns tenant, route and day_s."""
    bounds = [] if selection.tenant is None else [columns.tenant == selection.tenant]
    if selection.route is not None:
        bounds.append(columns.route == selection.route)
    if selection.period.first is not None:
        bounds.append(columns.day_s >= _start_s(selection.period.first))
    if selection.period.last is not None:
        bounds.append(columns.day_s <= _start_s(selection.period.last))
    return bounds


def _start_s(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _day(start_s: int) -> date:
    return instant(start_s * 1000).date()


def _total(by: Sequence[Field], row: list[Any]) -> Total:
    group = [_day(value).isoformat() if name == "day" else str(value) for name, value in zip(by, row, strict=False)]
    high, low, calls, *tokens = row[len(by) :]
    counts: dict[str, Any] = {name: int(count) for name, count in zip(TOKENS, tokens, strict=True)}
    return Total(group=tuple(group), calls=int(calls), usage=Usage(**counts), cost_usd=usd_of(joined(high, low)))


def _line(row: Any) -> LedgerLine:
    return LedgerLine(
        request_id=row.request_id,
        number=row.number,
        tenant=row.tenant,
        key_id=row.key_id,
        route=row.route,
        day=_day(row.day_s),
        settled=instant(row.settled_ms),
        line=_account_line(row),
        price=None if row.price_id is None else _price(row),
    )


def _account_line(row: Any) -> AccountLine:
    tokens = {name: getattr(row, name) for name in TOKENS}
    return AccountLine(
        role=row.role,
        model=row.model,
        purpose=Purpose(row.purpose),
        usage=Usage(**tokens, estimated=bool(row.estimated)),
        cost_usd=usd_of(row.cost_usd),
        price_table=row.price_table,
        latency_s=row.latency_s,
        request_id=row.upstream_id,
        wait_s=row.wait_s,
    )


def _price(row: Any) -> Price:
    rates: dict[str, Decimal] = {name: getattr(row, f"{name}_rate") / _PER_MILLION for name in RATES}
    return Price(**rates, table=row.price_table)
