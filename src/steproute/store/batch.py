"""One transaction for many operations: lock, load, change in memory, write back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping

from steproute.store.database import Database
from steproute.store.records import HELD, LineRow, Request
from steproute.store.statements import (
    ADD_LINE,
    ADD_REQUEST,
    ADD_WINDOW,
    CHANGE_PURPOSE,
    CHANGE_REQUEST,
    CHANGE_WINDOW,
    FIND_REQUESTS,
    FIND_WINDOWS,
    KEEP_PRICE,
    KEEP_TRACE,
    LOCK_TENANTS,
    REQUEST_CHANGES,
    WINDOW_COUNTS,
)
from steproute.store.windows import MINUTE_S, Window, WindowKey, day_start_s, month_start_s


@dataclass(slots=True)
class Batch:
    """The locked tenants, with the windows and requests that the operations need, and what they add."""

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
        """Requests that hold money although their lease, or the time that they had after it, has ended."""
        return [each for each in self.requests.values() if each.state in HELD and each.expires_ms <= self.now_ms]

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
    locked = connection.execute(LOCK_TENANTS, {"names": ordered}).mappings().all()
    now_ms = database.now_ms(connection)
    rows = connection.execute(FIND_REQUESTS, {"ids": ids, "names": ordered, "now_ms": now_ms})
    found = {row.id: Request(**row._mapping) for row in rows}
    windows = _windows(connection, ordered, found.values(), now_ms // 1000)
    return Batch(now_ms, {row["name"]: row for row in locked}, found, windows)


def save(database: Database, connection: Connection, batch: Batch) -> None:
    """Write everything that the operations have changed."""
    _run(connection, KEEP_PRICE[database.is_sqlite], list(batch.prices.values()))
    _save_windows(connection, batch)
    _save_requests(connection, batch)
    _run(connection, ADD_LINE, batch.lines)
    _run(connection, CHANGE_PURPOSE, batch.purposes)
    _run(connection, KEEP_TRACE[database.is_sqlite], list(batch.traces.values()))


def _windows(
    connection: Connection, names: Sequence[str], found: Iterable[Request], now_s: int
) -> dict[WindowKey, Window]:
    wanted = {
        "names": names,
        "months": sorted({month_start_s(now_s)} | {each.month_s for each in found}),
        "days": sorted({day_start_s(now_s)} | {each.day_s for each in found}),
        "oldest_s": now_s - MINUTE_S,
    }
    return {
        WindowKey(row.tenant, row.span, row.start_s): Window(
            **{name: row._mapping[name] for name in WINDOW_COUNTS}, is_new=False
        )
        for row in connection.execute(FIND_WINDOWS, wanted)
    }


def _save_windows(connection: Connection, batch: Batch) -> None:
    changed = [(key, window) for key, window in batch.windows.items() if window.changed]
    new = [key._asdict() | _counts(window) for key, window in changed if window.is_new]
    old = [_prefixed(key._asdict()) | _counts(window) for key, window in changed if not window.is_new]
    _run(connection, ADD_WINDOW, new)
    _run(connection, CHANGE_WINDOW, old)


def _save_requests(connection: Connection, batch: Batch) -> None:
    old = [batch.requests[key] for key in batch.changed - batch.created]
    rows = [{"of_id": each.id} | {name: getattr(each, name) for name in REQUEST_CHANGES} for each in old]
    _run(connection, ADD_REQUEST, [asdict(batch.requests[key]) for key in batch.created])
    _run(connection, CHANGE_REQUEST, rows)


def _run(connection: Connection, statement: Executable, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _counts(window: Window) -> dict[str, int]:
    return {name: getattr(window, name) for name in WINDOW_COUNTS}


def _prefixed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in values.items()}
