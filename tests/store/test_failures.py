"""A store that fails says so, and nothing is admitted."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.store.postgres import PostgresServer
from tests.store.requests import PRINCIPAL, line, reserve
from tests.store.test_traces import trace

from steproute.core.errors import ConfigError, StorageError
from steproute.store import open_store
from steproute.store.operations import Operation
from steproute.store.writer import Writer


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not the URL of a database"),
        ("mysql://host/db", "'mysql' is not a supported database"),
        ("sqlite://", "SQLite in memory keeps nothing"),
        ("sqlite:///:memory:", "SQLite in memory keeps nothing"),
    ],
)
def test_wrong_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asyncio.run(open_store(url))


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 36, 0))
    with pytest.raises(ConfigError, match=r"3\.37 or newer"):
        asyncio.run(open_store(f"sqlite:///{tmp_path / 'store.db'}"))


def test_a_file_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database " * 1000)
    for path in (tmp_path / "file", tmp_path / "file" / "store.db", tmp_path):
        with pytest.raises(StorageError):
            asyncio.run(open_store(f"sqlite:///{path}"))


def test_a_server_that_is_not_there_is_a_storage_error_without_the_password() -> None:
    with pytest.raises(StorageError) as failure:
        asyncio.run(open_store("postgresql://user:secret@127.0.0.1:1/db"))
    assert "secret" not in str(failure.value)
    assert "127.0.0.1:1" in str(failure.value)


def test_an_unknown_database_is_a_storage_error(postgres_server: PostgresServer) -> None:
    with pytest.raises(StorageError, match='"nothing" does not exist'):
        asyncio.run(open_store(postgres_server.url("nothing")))


def test_a_server_that_could_lose_commits_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.sql("CREATE DATABASE unsafe")
    postgres_server.sql("ALTER DATABASE unsafe SET synchronous_commit = off")
    with pytest.raises(StorageError, match="synchronous_commit is off"):
        asyncio.run(open_store(postgres_server.url("unsafe")))


def test_a_locked_file_is_a_storage_error_and_settling_again_settles_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steproute.store.database._LOCK_WAIT_S", 0.05)
    path = tmp_path / "store.db"

    async def use() -> None:
        store = await open_store(f"sqlite:///{path}")
        await store.tenants.create(PRINCIPAL.tenant)
        reservation = await reserve(store, "a", "1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await reservation.settle([line("0.1")])
        with pytest.raises(StorageError, match="locked"):
            await reserve(store, "b", "1")
        with pytest.raises(StorageError, match="locked"):
            await reservation.close([line("0.1"), line("0.2")])
        other.execute("ROLLBACK")
        other.close()
        assert await store.ledger.expire() == 0  # closes what could not be closed
        await reservation.close()
        assert [each.line for each in [each async for each in store.ledger.lines()]] == [line("0.1"), line("0.2")]
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use())


def test_a_commit_whose_confirmation_was_lost_is_not_entered_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Writer._commit

    async def commit_and_lose_the_connection(writer: Writer, operations: Sequence[Operation]) -> list[object]:
        await commit(writer, operations)
        raise StorageError("the connection was lost")

    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        reservation = await reserve(store, "a", "1")
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "_commit", commit_and_lose_the_connection)
            with pytest.raises(StorageError):
                await reservation.settle([line("0.1")])
            with pytest.raises(StorageError):
                await reservation.close([line("0.1"), line("0.2")])
        await reservation.close([line("0.1"), line("0.2")])
        assert [each.line for each in [each async for each in store.ledger.lines()]] == [line("0.1"), line("0.2")]
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use())


def test_one_operation_that_the_database_refuses_fails_alone(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        kept = (store.traces.keep(f"t{number}", tenant, trace()) for number, tenant in enumerate(["acme", "x", "acme"]))
        results = await asyncio.gather(*kept, reserve(store, "a"), return_exceptions=True)
        assert [type(each).__name__ for each in results] == ["NoneType", "StorageError", "NoneType", "Reservation"]
        await store.close()

    asyncio.run(use())


def test_a_schema_that_was_damaged_is_a_storage_error(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        await store._database.write(lambda connection: connection.execute(text("DROP TABLE lines")).close())
        reservation = await reserve(store, "a")
        with pytest.raises(StorageError):
            await reservation.settle([line()])
        await store.close()

    asyncio.run(use())


def test_cancelled_calls_leave_the_store_as_it_was(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        for yields in range(40):  # more than there are connections
            calls = [asyncio.create_task(store.tenants.all()), asyncio.create_task(store.ledger.totals())]
            for _ in range(yields):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert len(await store.tenants.all()) == 1
        await store.close()

    asyncio.run(use())


def test_a_closed_store_admits_nothing(url: str) -> None:
    async def use() -> None:
        store = await open_store(url)
        await store.tenants.create(PRINCIPAL.tenant)
        asking = asyncio.create_task(reserve(store, "a"))
        await asyncio.sleep(0)
        await store.close()
        assert (await asking).request_id == "a"  # was submitted before
        with pytest.raises(StorageError, match="The store is closed"):
            await reserve(store, "b")

    asyncio.run(use())
