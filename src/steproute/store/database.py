"""Connections and transactions of both databases; every failure is a StorageError."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from steproute.core.errors import ConfigError, SteprouteError, StorageError

Clock = Callable[[], float]
"""Seconds since 1970, for tests; without one, the database's clock counts, which all workers share."""

_EXAMPLES: Final = "Use sqlite:///steproute.db or postgresql://user:password@host/database."
_LOCK_WAIT_S: Final = 10
_LOCK_TRIES: Final = 100
_LOCKED: Final = "locked"
_BEGIN: Final = "sqlite_begin"
_NO_BEGIN: Final = "-- none"
_OPTIONS: Final[dict[str, Any]] = {"hide_parameters": True}
_CLOCK_MS: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


class Database:
    """One database by its URL, which is connected to on first use."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url, self._clock = _parsed(url), clock
        self.where = self._url.set(drivername=self._url.get_backend_name()).render_as_string(hide_password=True)
        self.engine: AsyncEngine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file, which only processes of one machine can share."""
        return self._url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing. Raises StorageError."""
        with self.failures():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is on disk once the block has ended. SQLite admits one at a time. Raises StorageError."""
        with self.failures():
            async with self.engine.connect() as plain:
                connection = await plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
                async with connection.begin():
                    yield connection

    async def now_ms(self, connection: AsyncConnection) -> int:
        """The time that counts for windows and leases."""
        if self._clock is not None or self.is_sqlite:
            return int((self._clock or time.time)() * 1000)
        return int((await connection.execute(_CLOCK_MS)).scalar_one())

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raises every failure but our own errors and programming errors as StorageError."""
        try:
            yield
        except SteprouteError:
            raise
        except (SQLAlchemyError, OSError, TimeoutError) as failure:
            raise self.failure(failure) from failure
        except Exception as failure:
            if not type(failure).__module__.startswith(("asyncpg", "sqlite3", "aiosqlite")):
                raise
            raise self.failure(failure) from failure

    def failure(self, failure: BaseException) -> StorageError:
        """What went wrong, without values of the statement."""
        cause = failure.orig if isinstance(failure, DBAPIError) and failure.orig is not None else failure
        first_line = str(cause).strip().partition("\n")[0]
        return StorageError(
            f"the database failed: {first_line or type(cause).__name__}",
            where=self.where,
            remedy="Check that it runs, that it can be reached and that its disk has space.",
        )

    async def close(self) -> None:
        """Close all connections."""
        with self.failures():
            await self.engine.dispose()


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
    return parsed.set(drivername={"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[backend])


def _sqlite(url: URL) -> AsyncEngine:
    _make_private(Path(str(url.database)))
    options = {"isolation_level": None, "timeout": _LOCK_WAIT_S}
    engine = _engine(url, connect_args=options)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


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


def _postgresql(url: URL) -> AsyncEngine:
    query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    options = {"timeout": _LOCK_WAIT_S, "command_timeout": _LOCK_WAIT_S}
    return _engine(url.set(query=query), connect_args=options, pool_pre_ping=True)


def _engine(url: URL, **options: Any) -> AsyncEngine:
    try:
        return create_async_engine(url, **_OPTIONS, **options)
    except (ImportError, NoSuchModuleError):
        extra = "serve" if url.get_backend_name() == "sqlite" else "postgres"
        raise ConfigError(
            f"the driver of {url.get_backend_name()} is not installed.",
            where="store",
            remedy=f"Run pip install 'steproute[serve,{extra}]'.",
        ) from None


async def use_write_ahead_log(database: Database) -> None:
    """Let readers read while another process writes; the file remembers it. Raises StorageError."""
    with database.failures():
        async with database.engine.connect() as plain:
            connection = await plain.execution_options(**{_BEGIN: _NO_BEGIN})
            mode = await _journal_mode(connection)
            for _ in range(_LOCK_TRIES):  # SQLite does not wait for this lock by itself
                if mode != _LOCKED:
                    break
                await asyncio.sleep(_LOCK_WAIT_S / _LOCK_TRIES)
                mode = await _journal_mode(connection)
    if mode != "wal":
        raise StorageError(
            f"SQLite cannot write ahead here: its journal mode is {mode!r}.",
            where=database.where,
            remedy="Put the file on a local disk, and stop other programs that hold it.",
        )


async def _journal_mode(connection: AsyncConnection) -> str:
    try:
        return str((await connection.exec_driver_sql("PRAGMA journal_mode = WAL")).scalar_one())
    except DBAPIError as failure:
        if _LOCKED not in str(failure.orig):
            raise
        return _LOCKED


async def check_durable(database: Database) -> None:
    """Raise StorageError if PostgreSQL is set to report commits that are not on disk."""
    async with database.reading() as connection:
        for setting in ("synchronous_commit", "fsync"):
            value = (await connection.exec_driver_sql(f"SHOW {setting}")).scalar_one()
            if value == "off":
                raise StorageError(
                    f"{setting} is off, so a power cut could lose money that was reported as recorded.",
                    where=database.where,
                    remedy=f"Set {setting} = on.",
                )
