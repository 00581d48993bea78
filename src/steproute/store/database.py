"""Transactions on both databases; every failure is a StorageError.

Work is a plain function of a connection. SQLite runs it in a thread: threads switch once per transaction, not once per
statement. PostgreSQL runs it on the event loop, over asyncpg.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from steproute.core.errors import ConfigError, SteprouteError, StorageError

_T = TypeVar("_T")
Work = Callable[[Connection], _T]
"""What one transaction does."""
Clock = Callable[[], float]
"""Seconds since 1970, for tests; without one, the database's clock counts, which all workers share."""

_EXAMPLES: Final = "Use sqlite:///steproute.db or postgresql://user:password@host/database."
_LOCK_WAIT_S: Final = 10
_LOCK_TRIES: Final = 100
_LOCKED: Final = "locked"
_BEGIN: Final = "sqlite_begin"
_IMMEDIATE: Final = {_BEGIN: "BEGIN IMMEDIATE"}
_NO_BEGIN: Final = {_BEGIN: "-- none"}
_READERS: Final = 4
_OLDEST_SQLITE: Final = (3, 37)  # has strict tables
_OPTIONS: Final[dict[str, Any]] = {"hide_parameters": True}
_CLOCK_MS: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


class _Driver(Protocol):
    async def read(self, work: Work[_T]) -> _T: ...

    async def write(self, work: Work[_T]) -> _T: ...

    async def close(self) -> None: ...


class Database:
    """One database by its URL, which is connected to on first use."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url, self._clock = _parsed(url), clock
        self.where = self._url.set(drivername=self._url.get_backend_name()).render_as_string(hide_password=True)
        self._driver: _Driver = _Sqlite(self._url) if self.is_sqlite else _Postgresql(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file, which only processes of one machine can share."""
        return self._url.get_backend_name() == "sqlite"

    async def read(self, work: Work[_T]) -> _T:
        """A transaction that changes nothing. Raises StorageError."""
        with self._failures():
            return await self._driver.read(work)

    async def write(self, work: Work[_T]) -> _T:
        """A transaction that is on disk once this returns. SQLite admits one at a time. Raises StorageError."""
        with self._failures():
            return await self._driver.write(work)

    def now_ms(self, connection: Connection) -> int:
        """The time that counts for windows and leases."""
        if self._clock is not None or self.is_sqlite:
            return int((self._clock or time.time)() * 1000)
        return int(connection.execute(_CLOCK_MS).scalar_one())

    async def prepare(self) -> None:
        """Make sure that what is committed stays. Raises StorageError if the database does not promise it."""
        if isinstance(self._driver, _Sqlite):
            with self._failures():
                mode = await self._driver.write_ahead()
            if mode != "wal":
                raise StorageError(
                    f"SQLite cannot write ahead here: its journal mode is {mode!r}.",
                    where=self.where,
                    remedy="Put the file on a local disk, and stop other programs that hold it.",
                )
        elif (setting := await self.read(_unsafe_setting)) is not None:
            raise StorageError(
                f"{setting} is off, so a power cut could lose money that was reported as recorded.",
                where=self.where,
                remedy=f"Set {setting} = on.",
            )

    async def close(self) -> None:
        """Close all connections."""
        with self._failures():
            await self._driver.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raises every failure but our own errors and programming errors as StorageError."""
        try:
            yield
        except SteprouteError:
            raise
        except (SQLAlchemyError, OSError, TimeoutError) as failure:
            raise self._failure(failure) from failure
        except Exception as failure:
            if not type(failure).__module__.startswith(("asyncpg", "sqlite3")):
                raise
            raise self._failure(failure) from failure

    def _failure(self, failure: BaseException) -> StorageError:
        """What went wrong, without values of the statement."""
        cause = failure.orig if isinstance(failure, DBAPIError) and failure.orig is not None else failure
        first_line = str(cause).strip().partition("\n")[0]
        return StorageError(
            f"the database failed: {first_line or type(cause).__name__}",
            where=self.where,
            remedy="Check that it runs, that it can be reached and that its disk has space.",
        )


class _Sqlite:
    """Transactions in threads: one that writes, a few that read."""

    def __init__(self, url: URL) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigError(
                f"SQLite {sqlite3.sqlite_version} is too old.",
                where="store",
                remedy="Use a Python with SQLite 3.37 or newer, or PostgreSQL.",
            )
        _make_private(Path(str(url.database)))
        options = {"isolation_level": None, "timeout": _LOCK_WAIT_S, "check_same_thread": False}
        self._engine: Engine = create_engine(url, connect_args=options, **_OPTIONS)
        event.listen(self._engine, "connect", _prepare_sqlite)
        event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = ThreadPoolExecutor(1, "steproute-store-writer")
        self._readers = ThreadPoolExecutor(_READERS, "steproute-store-reader")

    async def read(self, work: Work[_T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._transaction, work, {})

    async def write(self, work: Work[_T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work, _IMMEDIATE)

    async def close(self) -> None:
        await asyncio.to_thread(self._shut_down)

    async def write_ahead(self) -> str:
        """Let readers read while another process writes, which the file remembers; returns its journal mode."""
        mode = await asyncio.to_thread(self._journal_mode)
        for _ in range(_LOCK_TRIES):  # SQLite does not wait for this lock by itself
            if mode != _LOCKED:
                break
            await asyncio.sleep(_LOCK_WAIT_S / _LOCK_TRIES)
            mode = await asyncio.to_thread(self._journal_mode)
        return mode

    def _transaction(self, work: Work[_T], begin: dict[str, str]) -> _T:
        with self._engine.connect().execution_options(**begin) as connection, connection.begin():
            return work(connection)

    def _journal_mode(self) -> str:
        try:
            with self._engine.connect().execution_options(**_NO_BEGIN) as connection:
                return str(connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one())
        except DBAPIError as failure:
            if _LOCKED not in str(failure.orig):
                raise
            return _LOCKED

    def _shut_down(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


class _Postgresql:
    """Transactions on the event loop."""

    def __init__(self, url: URL) -> None:
        query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
        options = {"timeout": _LOCK_WAIT_S, "command_timeout": _LOCK_WAIT_S}
        try:
            self._engine: AsyncEngine = create_async_engine(
                url.set(query=query), connect_args=options, pool_pre_ping=True, **_OPTIONS
            )
        except (ImportError, NoSuchModuleError):
            raise ConfigError(
                "the driver of PostgreSQL is not installed.",
                where="store",
                remedy="Run pip install 'steproute[serve,postgres]'.",
            ) from None

    async def read(self, work: Work[_T]) -> _T:
        async with self._engine.connect() as connection:
            try:
                async with connection.begin():
                    return await connection.run_sync(work)
            except (SteprouteError, IntegrityError, DataError):
                raise
            except BaseException:  # the connection may be in the middle of something; nobody may get it again
                await connection.invalidate()
                raise

    async def write(self, work: Work[_T]) -> _T:
        return await self.read(work)

    async def close(self) -> None:
        await self._engine.dispose()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("is not the URL of a database.", where="store", remedy=_EXAMPLES) from None
    backend = "postgresql" if parsed.drivername == "postgres" else parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"{backend!r} is not a supported database.", where="store", remedy=_EXAMPLES)
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("SQLite in memory keeps nothing.", where="store", remedy="Give it a file: sqlite:///PATH.")
    return parsed.set(drivername={"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+asyncpg"}[backend])


def _make_private(path: Path) -> None:
    """Only its owner may read the file, and those that SQLite puts beside it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        remedy = "Make the folder writable, or name another file."
        raise StorageError(f"{reason}.", where=path, remedy=remedy) from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _unsafe_setting(connection: Connection) -> str | None:
    for setting in ("synchronous_commit", "fsync"):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == "off":
            return setting
    return None
