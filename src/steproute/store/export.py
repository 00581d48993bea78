"""The ledger's lines and the traces of a selection, as they were at one moment, a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection, select, text, tuple_

from steproute.core.usage import Price
from steproute.store.database import Database
from steproute.store.schema import RATES, requests, traces
from steproute.store.totals import LedgerLine, Selection, folded_usd, line_pages, savings, within

_TRACES_AT_ONCE: Final = 100
_ONE_MOMENT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger as a row of an exported table. Prices are dollars per million tokens."""

    request_id: str
    number: int
    tenant: str
    key_id: str
    route: str
    day: str
    settled: str
    role: str
    model: str
    purpose: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: Decimal
    price_table: str
    input_price: Decimal | None
    output_price: Decimal | None
    cache_read_price: Decimal | None
    cache_write_price: Decimal | None
    cache_write_1h_price: Decimal | None
    latency_s: float
    wait_s: float
    upstream_id: str


class Sink(Protocol):
    """Takes what is exported. It is called in a thread."""

    def lines(self, rows: Sequence[LedgerRow]) -> None:
        """Some lines of the ledger."""

    def traces(self, encoded: Sequence[bytes]) -> None:
        """Some traces as JSON."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: how many lines and traces, the sum of the lines, and what `savings` says was spent.

    folded_usd: the part of that of days whose lines are no longer kept.
    """

    lines: int
    traces: int
    lines_usd: Decimal
    folded_usd: Decimal
    spent_usd: Decimal


async def export(database: Database, selection: Selection, sink: Sink) -> Exported:
    """Everything in one transaction that reads one moment, however long it takes and whatever is settled meanwhile."""

    def work(connection: Connection) -> Exported:
        if not database.is_sqlite:  # a transaction of SQLite is like this by itself
            connection.execute(_ONE_MOMENT)
        lines, lines_usd = _export_lines(line_pages(selection, connection), sink.lines)
        kept = _export_traces(selection, connection, sink.traces)
        spent_usd = sum((each.spent_usd for each in savings(selection, connection)), Decimal(0))
        return Exported(lines, kept, lines_usd, folded_usd(selection, connection), spent_usd)

    return await database.read(work)


def _export_lines(
    pages: Iterator[Sequence[LedgerLine]], take: Callable[[Sequence[LedgerRow]], None]
) -> tuple[int, Decimal]:
    count, usd = 0, Decimal(0)
    for page in pages:
        take([_row(each) for each in page])
        count += len(page)
        usd = sum((each.line.cost_usd for each in page), usd)
    return count, usd


def _export_traces(selection: Selection, connection: Connection, take: Callable[[Sequence[bytes]], None]) -> int:
    chosen = select(traces.c.request_id, traces.c.created_ms, traces.c.trace)
    chosen = chosen.join(requests, requests.c.id == traces.c.request_id).where(*within(requests.c, selection))
    order = (traces.c.created_ms, traces.c.request_id)
    page, count = chosen.order_by(*order).limit(_TRACES_AT_ONCE), 0
    while rows := connection.execute(page).all():
        take([row.trace for row in rows])
        count += len(rows)
        page = page.where(tuple_(*order) > (rows[-1].created_ms, rows[-1].request_id))
    return count


def _row(each: LedgerLine) -> LedgerRow:
    line, usage = each.line, each.line.usage
    return LedgerRow(
        request_id=each.request_id,
        number=each.number,
        tenant=each.tenant,
        key_id=each.key_id,
        route=each.route,
        day=each.day.isoformat(),
        settled=each.settled.isoformat(timespec="milliseconds"),
        role=line.role,
        model=line.model,
        purpose=line.purpose.value,
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        cost_usd=line.cost_usd,
        price_table=line.price_table,
        **_prices(each.price),
        latency_s=line.latency_s,
        wait_s=line.wait_s,
        upstream_id=line.request_id,
    )


def _prices(price: Price | None) -> dict[str, Any]:
    return {f"{name}_price": None if price is None else getattr(price, name) for name in RATES}
