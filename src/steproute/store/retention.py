"""Days whose requests and lines are no longer kept become sums, a few requests at a time."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from steproute.store.database import Database
from steproute.store.records import HELD
from steproute.store.schema import TOKENS, daily_calls, daily_requests, lines, requests, tenants
from steproute.store.windows import month_start_s


async def fold(database: Database, before: date, most: int) -> int:
    """Fold at most so many ended requests of one tenant from before a day; returns how many, 0 if none is left.

    A day of the current month stays. Sums of the ledger are the same before and after.
    """
    before_s = int(datetime(before.year, before.month, before.day, tzinfo=UTC).timestamp())

    def due(connection: Connection) -> str | None:
        has_old = exists().where(requests.c.tenant == tenants.c.name, *_old(database, connection, before_s))
        return connection.execute(select(tenants.c.name).where(has_old).limit(1)).scalar()

    def work(connection: Connection) -> int:
        return _fold_some(database, connection, tenant, before_s, most)

    tenant = await database.read(due)
    return 0 if tenant is None else await database.write(work)


def _old(database: Database, connection: Connection, before_s: int) -> tuple[Any, Any]:
    earliest_s = min(before_s, month_start_s(database.now_ms(connection) // 1000))
    return requests.c.day_s < earliest_s, requests.c.state.not_in(HELD)


def _fold_some(database: Database, connection: Connection, tenant: Any, before_s: int, most: int) -> int:
    connection.execute(select(tenants.c.name).where(tenants.c.name == tenant).with_for_update(key_share=True))
    old = (requests.c.tenant == tenant, *_old(database, connection, before_s))
    chosen = select(requests.c.id).where(*old).order_by(requests.c.day_s).limit(most)
    ids = connection.execute(chosen).scalars().all()
    for table, sums in ((daily_calls, _sums_of_calls(ids)), (daily_requests, _sums_of_requests(ids))):
        _add(database, connection, table, sums)
    connection.execute(delete(lines).where(lines.c.request_id.in_(ids)))
    connection.execute(delete(requests).where(requests.c.id.in_(ids)))
    return len(ids)


def _sums_of_calls(ids: Any) -> "Select[Any]":
    key = (requests.c.tenant, requests.c.route, requests.c.key_id, lines.c.role, lines.c.model, lines.c.purpose)
    by = (*key, lines.c.day_s, lines.c.month_s)
    sums = [func.sum(lines.c[name]).label(name) for name in (*TOKENS, "cost_usd")]
    estimated = func.max(lines.c.estimated).label("estimated")
    statement = select(*by, func.count().label("calls"), estimated, *sums)
    joined_rows = statement.select_from(lines).join(requests, requests.c.id == lines.c.request_id)
    return joined_rows.where(requests.c.id.in_(ids)).group_by(*by)


def _sums_of_requests(ids: Any) -> "Select[Any]":
    by = [requests.c[name] for name in ("tenant", "route", "key_id", "day_s", "month_s")]
    sums = [func.sum(requests.c[name]).label(name) for name in ("baseline_usd", "unaccounted_usd")]
    return select(*by, func.count().label("requests"), *sums).where(requests.c.id.in_(ids)).group_by(*by)


def _add(database: Database, connection: Connection, table: Any, sums: "Select[Any]") -> None:
    """Add the sums to those of the days that have some already."""
    upsert: Any = (sqlite.insert if database.is_sqlite else postgresql.insert)(table)
    names, kept = [each.name for each in sums.selected_columns], table.c
    added = {each.name: each + upsert.excluded[each.name] for each in kept if not each.primary_key}
    added |= {"month_s": kept.month_s}
    if "estimated" in kept:
        added["estimated"] = kept.estimated.bitwise_or(upsert.excluded.estimated)
    statement = upsert.from_select(names, sums)
    keys = [each.name for each in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=added))
