"""The schema's versions, up and down, by one process at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from steproute.core.errors import StorageError
from steproute.store.database import Database

_FOLDER: Final = Path(__file__).with_name("migrations")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(783776883)")  # any number that other programs do not use


async def upgrade(database: Database) -> None:
    """Bring the schema to the newest version, in one transaction. Raises StorageError."""
    await _migrate(database, command.upgrade, "head")


async def downgrade(database: Database, revision: str) -> None:
    """Bring the schema back to a revision; `base` removes everything. Raises StorageError."""
    await _migrate(database, command.downgrade, revision)


async def _migrate(database: Database, move: Callable[[Config, str], None], revision: str) -> None:
    def work(connection: Connection) -> None:
        if not database.is_sqlite:  # the transaction of SQLite is a lock already
            connection.execute(_LOCK)
        move(_config(connection), revision)

    try:
        await database.write(work)
    except CommandError as failure:
        raise StorageError(
            f"this version of steproute does not know its schema ({failure}).",
            where=database.where,
            remedy="Use the version of steproute that last opened it, or a newer one.",
        ) from None


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config
