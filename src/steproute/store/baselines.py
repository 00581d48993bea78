"""What a sample of requests has cost when the passthrough model alone was asked, beside what they did cost."""

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Float, cast, func, insert, literal, select

from steproute.store.database import Database
from steproute.store.money import UNITS_PER_USD, joined, units_of_at_least, usd_of
from steproute.store.records import plain
from steproute.store.schema import Whole, baselines, lines, requests
from steproute.store.totals import ALL, Selection, money, within

_PER_USD: Final = float(UNITS_PER_USD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The sample of one tenant on one route: sums in dollars.

    spent_usd: of the answers. modelled_usd, measured_usd: of the passthrough model alone, as a model says and as it
    did. measured_squares, modelled_squares, products: sums over requests, in squared dollars, for an interval.
    """

    tenant: str
    route: str
    requests: int
    spent_usd: Decimal
    modelled_usd: Decimal
    measured_usd: Decimal
    measured_squares: float
    modelled_squares: float
    products: float


class Baselines:
    """The measurements of one store. They are kept for good. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, request_id: str, measured_usd: Decimal) -> None:
        """Enter what another model would have cost for a request that has ended; nothing for an unknown one."""
        units = units_of_at_least(measured_usd, "measured_usd")
        spent = select(func.coalesce(func.sum(lines.c.cost_usd), 0)).where(lines.c.request_id == requests.c.id)
        own = (requests.c.id, requests.c.tenant, requests.c.route, requests.c.day_s)
        row = select(*own, cast(spent.scalar_subquery(), Whole), requests.c.baseline_usd, literal(units, Whole))
        names = ["request_id", "tenant", "route", "day_s", "spent_usd", "modelled_usd", "measured_usd"]
        statement = insert(baselines).from_select(names, row.where(requests.c.id == plain(request_id)))
        await self._database.write(lambda connection: connection.execute(statement).close())

    async def measured(self, selection: Selection = ALL) -> list[Measured]:
        """The samples by tenant and route, in the order of their names."""
        return await self._database.read(partial(_measured, selection))


def _measured(selection: Selection, connection: Connection) -> list[Measured]:
    by, kept = (baselines.c.tenant, baselines.c.route), baselines.c
    sums = [each for name in ("spent_usd", "modelled_usd", "measured_usd") for each in money(kept[name])]
    pairs = (("measured_usd", "measured_usd"), ("modelled_usd", "modelled_usd"), ("measured_usd", "modelled_usd"))
    products = [func.sum(_usd(kept[first]) * _usd(kept[second])) for first, second in pairs]
    statement = select(*by, func.count(), *sums, *products).where(*within(kept, selection))
    return [_of(row) for row in connection.execute(statement.group_by(*by).order_by(*by))]


def _of(row: Any) -> Measured:
    tenant, route, count, *sums = row
    spent, modelled, measured = (usd_of(joined(sums[at], sums[at + 1])) for at in (0, 2, 4))
    return Measured(
        tenant=tenant,
        route=route,
        requests=count,
        spent_usd=spent,
        modelled_usd=modelled,
        measured_usd=measured,
        measured_squares=sums[6],
        modelled_squares=sums[7],
        products=sums[8],
    )


def _usd(column: ColumnElement[int]) -> ColumnElement[float]:
    return cast(column, Float(53)) / _PER_USD
