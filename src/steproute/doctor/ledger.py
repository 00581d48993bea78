"""Whether the gateway's database answers, has a schema that this version knows, and holds a key. Nothing is changed."""

import os
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

import steproute.store
from steproute.config.gateway import ServeSettings, database_of
from steproute.core.errors import SteprouteError
from steproute.doctor.finding import Finding, failed, ok, warning
from steproute.store.database import Database
from steproute.store.tenants import Tenants

_SERVE: Final = "serve"
_CHECK: Final = "database"
_VERSIONS: Final = Path(steproute.store.__file__).with_name("migrations")
_KEY: Final = "Create one: steproute tenants create NAME, then steproute keys create NAME."


async def ledger_findings(serve: ServeSettings) -> list[Finding]:
    """What is found, in the order of asking; nothing more after a failure."""
    try:
        url = database_of(serve)
        if (file := _missing(url)) is not None:
            return [_new(file), *([_no_key("no tenant")] if serve.keys else [])]
        database = Database(url)
        try:
            return await _of_database(database, serve.keys)
        finally:
            await database.close()
    except SteprouteError as failure:
        return [failed(_SERVE, _CHECK, failure.located, failure.remedy)]


def _missing(url: str) -> Path | None:
    """The file of SQLite, if it is not there yet."""
    if not url.startswith("sqlite:") or not (name := make_url(url).database) or name == ":memory:":
        return None
    return None if Path(name).exists() else Path(name)


def _new(file: Path) -> Finding:
    folder = file.absolute().parent
    if not os.access(folder, os.W_OK):
        return failed(_SERVE, _CHECK, f"{folder} cannot be written", "Create the folder, or name another file.")
    return ok(_SERVE, _CHECK, f"{file} will be created at the first start")


async def _of_database(database: Database, keys: bool) -> list[Finding]:
    revision = await database.read(_revision)
    finding = _schema(database.where, revision)
    if revision != _newest() or not keys:
        return [finding]
    tenants = Tenants(database)
    names = [tenant.name for tenant in await tenants.all()]
    for name in names:
        if any(key.revoked is None for key in await tenants.keys(name)):
            return [finding, ok(_SERVE, "keys", f"{len(names)} tenants")]
    return [finding, _no_key("no tenant" if not names else "no tenant has a key")]


def _no_key(seen: str) -> Finding:
    return warning(_SERVE, "keys", f"{seen}, so every request would be refused", _KEY)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_VERSIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _newest() -> str | None:
    return _script().get_current_head()


def _schema(where: str, revision: str | None) -> Finding:
    newest = _newest()
    if revision == newest:
        return ok(_SERVE, _CHECK, f"{where}, schema {newest}")
    if revision is None or revision in {each.revision for each in _script().walk_revisions()}:
        remedy = "Nothing to do: the first start brings it to the newest version. Back it up before that."
        return warning(_SERVE, _CHECK, f"{where}, schema {revision or 'empty'}, the newest is {newest}", remedy)
    remedy = "Use the version of steproute that last opened it, or a newer one."
    return failed(_SERVE, _CHECK, f"{where}, schema {revision}, which this version does not know", remedy)
