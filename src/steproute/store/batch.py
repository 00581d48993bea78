"""One transaction for many operations: lock, load, change in memory, write back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from steproute.store.database import Database
from steproute.store.records import REQUEST_FIELDS, LineRow, Request
from steproute.store.schema import lines, prices, requests, tenants, traces, windows
from steproute.store.windows import MINUTE_S, Window, WindowKey, day_start_s, month_start_s

_COUNTS: Final = ("spent_usd", "reserved_usd", "spent_tokens", "reserved_tokens", "requests")
_MUTABLE: Final = (
    "state",
    "reserved_usd",
    "reserved_tokens",
    "unaccounted_usd",
    "lines",
    "expires_ms",
    "closed_ms",
)


@dataclass(slots=True)
class Batch:
    """The locked tenants, with the windows and requests that the operations need, and what they add.

    due: open requests whose lease has ended.
    """

    now_ms: int
    tenants: Mapping[str, RowMapping]
    requests: dict[str, Request]
    windows: dict[WindowKey, Window]
    changed: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    lines: list[dict[str, Any]] = field(default_factory=list)
    purposes: list[dict[str, Any]] = field(default_factory=list)
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def now_s(self) -> int:
        """Whole seconds since 1970."""
        return self.now_ms // 1000

    @property
    def due(self) -> list[Request]:
        """Open requests whose lease has ended."""
        return [each for each in self.requests.values() if each.state == "open" and each.expires_ms <= self.now_ms]

    def window(self, key: WindowKey) -> Window:
        """A window, which begins empty."""
        return self.windows.setdefault(key, Window())

    def windows_of(self, request: Request) -> list[Window]:
        """Those that a request counts in: its month, its day and, within a minute, its second."""
        second = self.windows.get(WindowKey(request.tenant, "second", request.second_s))
        month = self.window(WindowKey(request.tenant, "month", request.month_s))
        day = self.window(WindowKey(request.tenant, "day", request.day_s))
        return [month, day] if second is None else [month, day, second]

    def add(self, request: Request) -> None:
        """Enter a new request."""
        self.requests[request.id] = request
        self.created.add(request.id)

    def enter(self, request: Request, line: LineRow) -> None:
        """Enter a request's next line."""
        place = {"request_id": request.id, "number": request.lines, "tenant": request.tenant}
        when = {"month_s": request.month_s, "day_s": request.day_s, "settled_ms": self.now_ms}
        self.lines.append(place | when | line.values)
        if line.price is not None:
            self.prices[line.price.id] = line.price.row
        request.lines += 1
        self.changed.add(request.id)


def load(database: Database, connection: Connection, names: Iterable[str], ids: Sequence[str]) -> Batch:
    """Lock the tenants, always in the order of their names, and read what belongs to them."""
    ordered = sorted(set(names))
    statement = (
        select(tenants).where(tenants.c.name.in_(ordered)).order_by(tenants.c.name).with_for_update(key_share=True)
    )
    locked = {row["name"]: row for row in (connection.execute(statement)).mappings()}
    now_ms = database.now_ms(connection)
    found = _requests(connection, ordered, ids, now_ms)
    return Batch(now_ms, locked, found, _windows(connection, ordered, found.values(), now_ms // 1000))


def save(database: Database, connection: Connection, batch: Batch) -> None:
    """Write everything that the operations have changed."""
    upsert = sqlite.insert if database.is_sqlite else postgresql.insert
    _run(connection, upsert(prices).on_conflict_do_nothing(), list(batch.prices.values()))
    _save_windows(connection, batch)
    _save_requests(connection, batch)
    _run(connection, insert(lines), batch.lines)
    at = and_(lines.c.request_id == bindparam("of_request"), lines.c.number == bindparam("of_number"))
    _run(connection, update(lines).where(at).values(purpose=bindparam("new_purpose")), batch.purposes)
    replacing = upsert(traces)
    newest = {name: replacing.excluded[name] for name in ("trace", "messages")}
    replacing = replacing.on_conflict_do_update(
        index_elements=["request_id"], set_=newest, where=traces.c.tenant == replacing.excluded.tenant
    )
    _run(connection, replacing, list(batch.traces.values()))


def _requests(connection: Connection, names: Sequence[str], ids: Sequence[str], now_ms: int) -> dict[str, Request]:
    due = and_(requests.c.state == "open", requests.c.expires_ms <= now_ms, requests.c.tenant.in_(names))
    wanted = or_(requests.c.id.in_(ids), due) if ids else due
    rows = connection.execute(select(*(requests.c[name] for name in REQUEST_FIELDS)).where(wanted))
    return {row.id: Request(**row._mapping) for row in rows}


def _windows(
    connection: Connection, names: Sequence[str], found: Iterable[Request], now_s: int
) -> dict[WindowKey, Window]:
    months = {month_start_s(now_s)} | {each.month_s for each in found}
    days = {day_start_s(now_s)} | {each.day_s for each in found}
    wanted = or_(
        and_(windows.c.span == "month", windows.c.start_s.in_(sorted(months))),
        and_(windows.c.span == "day", windows.c.start_s.in_(sorted(days))),
        and_(windows.c.span == "second", windows.c.start_s >= now_s - MINUTE_S),
    )
    statement = select(windows).where(windows.c.tenant.in_(names), wanted)
    return {
        WindowKey(row.tenant, row.span, row.start_s): Window(
            **{name: row._mapping[name] for name in _COUNTS}, is_new=False
        )
        for row in connection.execute(statement)
    }


def _save_windows(connection: Connection, batch: Batch) -> None:
    changed = [(key, window) for key, window in batch.windows.items() if window.changed]
    new = [key._asdict() | _counts(window) for key, window in changed if window.is_new]
    old = [_prefixed(key._asdict()) | _counts(window) for key, window in changed if not window.is_new]
    at = [windows.c[name] == bindparam(f"of_{name}") for name in WindowKey._fields]
    _run(connection, insert(windows), new)
    _run(connection, update(windows).where(*at).values({name: bindparam(name) for name in _COUNTS}), old)


def _save_requests(connection: Connection, batch: Batch) -> None:
    new = [asdict(batch.requests[key]) for key in batch.created]
    old = [batch.requests[key] for key in batch.changed - batch.created]
    rows = [{"of_id": each.id} | {name: getattr(each, name) for name in _MUTABLE} for each in old]
    values: dict[str, Any] = {name: bindparam(name) for name in _MUTABLE}
    _run(connection, insert(requests), new)
    _run(connection, update(requests).where(requests.c.id == bindparam("of_id")).values(values), rows)


def _run(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _counts(window: Window) -> dict[str, int]:
    return {name: getattr(window, name) for name in _COUNTS}


def _prefixed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in values.items()}
