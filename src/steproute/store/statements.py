"""The statements of every batch, built once: building them takes longer than running them."""

from typing import Any, Final

from sqlalchemy import BindParameter, and_, bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from steproute.store.records import HELD, REQUEST_FIELDS
from steproute.store.schema import lines, prices, requests, tenants, traces, windows

WINDOW_COUNTS: Final = ("spent_usd", "reserved_usd", "spent_tokens", "reserved_tokens", "requests")
REQUEST_CHANGES: Final = (
    "state",
    "reserved_usd",
    "reserved_tokens",
    "unaccounted_usd",
    "baseline_usd",
    "lines",
    "expires_ms",
    "closed_ms",
)


def _each(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True)


def _set(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


LOCK_TENANTS: Final = (
    select(tenants)
    .where(tenants.c.name.in_(_each("names")))
    .order_by(tenants.c.name)
    .with_for_update(key_share=True)  # new keys and traces of the tenants need not wait
)
FIND_REQUESTS: Final = select(*(requests.c[name] for name in REQUEST_FIELDS)).where(
    or_(
        requests.c.id.in_(_each("ids")),
        and_(
            requests.c.state.in_(HELD),
            requests.c.expires_ms <= bindparam("now_ms"),
            requests.c.tenant.in_(_each("names")),
        ),
    )
)
FIND_WINDOWS: Final = select(windows).where(
    windows.c.tenant.in_(_each("names")),
    or_(
        and_(windows.c.span == "month", windows.c.start_s.in_(_each("months"))),
        and_(windows.c.span == "day", windows.c.start_s.in_(_each("days"))),
        and_(windows.c.span == "second", windows.c.start_s >= bindparam("oldest_s")),
    ),
)

ADD_WINDOW: Final = insert(windows)
ADD_REQUEST: Final = insert(requests)
ADD_LINE: Final = insert(lines)
CHANGE_WINDOW: Final = (
    update(windows)
    .where(*(windows.c[name] == bindparam(f"of_{name}") for name in ("tenant", "span", "start_s")))
    .values(_set(WINDOW_COUNTS))
)
CHANGE_REQUEST: Final = update(requests).where(requests.c.id == bindparam("of_id")).values(_set(REQUEST_CHANGES))
CHANGE_PURPOSE: Final = (
    update(lines)
    .where(lines.c.request_id == bindparam("of_request"), lines.c.number == bindparam("of_number"))
    .values(purpose=bindparam("new_purpose"))
)


def _kept_trace(upsert: Any) -> Any:
    statement = upsert(traces)
    return statement.on_conflict_do_update(
        index_elements=["request_id"],
        set_={name: statement.excluded[name] for name in ("trace", "messages")},
        where=traces.c.tenant == statement.excluded.tenant,
    )


# By whether the database is SQLite.
KEEP_PRICE: Final = {
    True: sqlite.insert(prices).on_conflict_do_nothing(),
    False: postgresql.insert(prices).on_conflict_do_nothing(),
}
KEEP_TRACE: Final = {True: _kept_trace(sqlite.insert), False: _kept_trace(postgresql.insert)}
