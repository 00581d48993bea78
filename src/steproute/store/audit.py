"""Whether what the windows say equals the rows that they count."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from steproute.store.money import SPLIT, joined
from steproute.store.records import HELD
from steproute.store.schema import requests, windows
from steproute.store.totals import ALL, calls_of, ended_of

_SPANS: Final[tuple[Literal["day", "month"], ...]] = ("day", "month")
_Sums = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A window whose count differs from its rows, which only a change from outside or a defect can cause.

    count: such as `spent_usd`. In units of 10^-12 US dollars or in tokens.
    """

    tenant: str
    span: Literal["day", "month"]
    start_s: int
    count: str
    in_window: int
    in_rows: int


class _Difference(NamedTuple):
    name: str
    key: tuple[str, int]
    in_window: int
    in_rows: int

    def in_span(self, span: Literal["day", "month"]) -> Discrepancy:
        (tenant, start_s), numbers = self.key, {"in_window": self.in_window, "in_rows": self.in_rows}
        return Discrepancy(tenant=tenant, span=span, start_s=start_s, count=self.name, **numbers)


def discrepancies(connection: Connection) -> list[Discrepancy]:
    """All of them; none in a sound ledger."""
    return [each for span in _SPANS for each in _of_span(connection, span)]


def _of_span(connection: Connection, span: Literal["day", "month"]) -> list[Discrepancy]:
    kept = (connection.execute(select(windows).where(windows.c.span == span))).mappings().all()
    found = []
    for name, in_rows in (_rows(connection, f"{span}_s")).items():
        in_windows: _Sums = {(row["tenant"], row["start_s"]): row[name] for row in kept}
        found += [_Difference(name, key, in_windows.get(key, 0), in_rows.get(key, 0)) for key in in_windows | in_rows]
    return [each.in_span(span) for each in sorted(found) if each.in_window != each.in_rows]


def _rows(connection: Connection, start: str) -> dict[str, _Sums]:
    calls, ended = calls_of(ALL).c, ended_of(ALL).c
    open_ones = _sums(connection, requests.c, start, None, requests.c.state.in_(HELD))
    return {
        "spent_usd": _sums(connection, calls, start, calls.cost_usd),
        "spent_tokens": _sums(connection, calls, start, calls.output_tokens),
        "reserved_usd": _sums(connection, requests.c, start, requests.c.reserved_usd),
        "reserved_tokens": _sums(connection, requests.c, start, requests.c.reserved_tokens),
        "requests": _added(open_ones, _sums(connection, ended, start, ended.requests)),
    }


def _added(first: _Sums, second: _Sums) -> _Sums:
    return {key: first.get(key, 0) + second.get(key, 0) for key in first | second}


def _sums(
    connection: Connection, columns: Any, start: str, column: ColumnElement[int] | None, *chosen: ColumnElement[bool]
) -> _Sums:
    """Sums of a column, or the numbers of rows, by tenant and window."""
    sums = (func.count(), func.count()) if column is None else (func.sum(column // SPLIT), func.sum(column % SPLIT))
    by = (columns.tenant, columns[start])
    return {
        (tenant, start_s): int(high) if column is None else joined(high, low)
        for tenant, start_s, high, low in connection.execute(select(*by, *sums).where(*chosen).group_by(*by))
    }
