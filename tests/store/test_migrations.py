import asyncio
from decimal import Decimal

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from tests.store.requests import PRINCIPAL, line, reserve
from tests.store.test_traces import trace

from steproute.core.errors import StorageError
from steproute.store import open_store
from steproute.store.database import Database
from steproute.store.migrate import downgrade, upgrade
from steproute.store.schema import metadata


def test_the_migrations_make_the_schema_that_the_code_uses(url: str) -> None:
    async def use() -> None:
        database = Database(url)
        await upgrade(database)
        assert await database.read(_differences) == []
        await database.close()

    asyncio.run(use())


def test_migrations_keep_what_both_versions_know(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        reservation = await reserve(store, "a", "1")
        await reservation.close([line("0.1")])
        await store.traces.keep("a", PRINCIPAL.tenant, trace())
        await store.close()

        database = Database(url)
        await downgrade(database, "0001")
        await database.close()

        store = await open_store(url)
        assert await store.traces.get("a", PRINCIPAL.tenant) is None
        (total,) = await store.ledger.totals()
        assert total.cost_usd == Decimal("0.1")
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use())


def test_the_oldest_version_is_an_empty_database(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        await store.close()
        database = Database(url)
        await downgrade(database, "base")
        assert await database.read(_tables) == {"alembic_version"}
        await upgrade(database)
        await database.close()

    asyncio.run(use())


def test_a_failed_migration_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        database = Database(url)
        monkeypatch.setattr("alembic.op.create_index", _fail)  # comes after some tables
        with pytest.raises(RuntimeError):
            await upgrade(database)
        assert await database.read(_tables) == set()
        await database.close()

    asyncio.run(use())


def test_a_schema_of_a_newer_version_is_refused(url: str) -> None:
    async def use() -> None:
        await (await open_store(url)).close()
        database = Database(url)
        newer = text("UPDATE alembic_version SET version_num = '9999'")
        await database.write(lambda connection: connection.execute(newer).close())
        await database.close()
        with pytest.raises(StorageError, match="does not know its schema"):
            await open_store(url)

    asyncio.run(use())


def test_many_processes_may_open_a_new_database_at_once(url: str) -> None:
    async def use() -> None:
        stores = await asyncio.gather(*(open_store(url) for _ in range(8)))
        for store in stores:
            await store.close()

    asyncio.run(use())


def _differences(connection: Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _fail(*_: object) -> None:
    raise RuntimeError
