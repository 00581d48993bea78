"""One database with tenants, ledger and traces."""

from datetime import date
from typing import Final

from sqlalchemy import text

from steproute.store.baselines import Baselines
from steproute.store.database import Clock, Database
from steproute.store.export import Exported, Sink, export
from steproute.store.ledger import DEFAULT_LEASE_S, Ledger
from steproute.store.migrate import upgrade
from steproute.store.retention import fold
from steproute.store.tenants import Tenants
from steproute.store.totals import Selection
from steproute.store.traces import Traces
from steproute.store.writer import Writer

FOLDED_AT_ONCE: Final = 200
_PING: Final = text("SELECT 1")


class Store:
    """What `open_store` opens, for one event loop. Close it: closing finishes what was begun."""

    def __init__(self, database: Database, *, worker: str, lease_s: float) -> None:
        self._database, self._writer = database, Writer(database, lease_s / 2)
        self.tenants = Tenants(database)
        self.ledger = Ledger(database, self._writer, worker=worker, lease_s=lease_s / 2)
        self.traces = Traces(database, self._writer)
        self.baselines = Baselines(database)

    async def ping(self) -> None:
        """Raise StorageError if the database does not answer."""
        await self._database.read(lambda connection: connection.execute(_PING).close())

    async def export(self, selection: Selection, sink: Sink) -> Exported:
        """Hand lines and traces to the sink, all as they are at one moment, and say what they add up to."""
        return await export(self._database, selection, sink)

    async def fold(self, before: date, *, most: int = FOLDED_AT_ONCE) -> int:
        """Turn ended requests of days before one, and their lines, into sums per day; returns how many, 0 at the end.

        Nothing that the ledger adds up changes: budgets, totals, savings. Days of the current month stay as they are.
        """
        return await fold(self._database, before, most)

    async def close(self) -> None:
        """Finish what was submitted, then close all connections."""
        await self._writer.close()
        await self._database.close()


async def open_store(
    url: str, *, worker: str = "", lease_s: float = DEFAULT_LEASE_S, clock: Clock | None = None
) -> Store:
    """Open a database, whose schema is brought to the newest version first.

    url: `sqlite:///PATH` for the processes of one machine, or `postgresql://user:password@host/database`. worker: the
    name of this process in the rows it writes. lease_s: how long a reservation lasts unless it is extended: half of it
    is the owner's to extend it, the other half is for owners that come back late, and all processes should have the
    same. clock: for tests. Raises ConfigError for a wrong URL or a missing driver, StorageError if the database
    cannot be used.
    """
    database = Database(url, clock)
    try:
        await database.prepare()
        await upgrade(database)
    except BaseException:
        await database.close()
        raise
    return Store(database, worker=worker, lease_s=lease_s)
