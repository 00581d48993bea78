"""Tenants, their budgets and their API keys."""

import hmac
import secrets
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from steproute.core.errors import ConfigError
from steproute.store.database import Database
from steproute.store.money import exact_units, usd_of
from steproute.store.refusal import KeyReason, KeyRefused, TenantSuspended
from steproute.store.schema import keys, tenants

_MARK: Final = "steproute"
_SECRET_BYTES: Final = 32
_LONGEST_KEY: Final = 100
_LONGEST_NAME: Final = 100
_MOST_COUNT: Final = 2**53
_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """A tenant's limits, each None if there is none. Days and months are those of UTC."""

    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


NO_LIMITS: Final = Budgets()
_LIMITS: Final = tuple(tenants.c[each.name] for each in fields(Budgets))
_FIND_TENANT: Final = select(tenants).where(tenants.c.name == bindparam("name"))
_FIND_KEY: Final = (
    select(keys, tenants.c.priority, tenants.c.suspended_ms, *_LIMITS)
    .join(tenants)
    .where(keys.c.id == bindparam("key_id"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Who pays. priority: higher goes first where requests wait. suspended: since when its requests are refused."""

    name: str
    budgets: Budgets
    priority: int
    created: datetime
    suspended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key without its secret. id: its public part."""

    id: str
    tenant: str
    name: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: the tenant, by which of its keys. limits_usd, limits_tokens: whether a budget or a rate limits them."""

    tenant: str
    key_id: str
    priority: int = 0
    limits_usd: bool = False
    limits_tokens: bool = False


class Tenants:
    """The tenants of one store. Changes count at once for every worker. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, budgets: Budgets = NO_LIMITS, *, priority: int = 0) -> Tenant:
        """A new tenant. Raises ConfigError if the name is taken or a limit is not valid."""
        values = _limits(budgets) | {"name": _name("tenant", name), "priority": priority}

        def work(connection: Connection) -> Tenant:
            row = values | {"created_ms": self._database.now_ms(connection), "suspended_ms": None}
            try:
                connection.execute(insert(tenants).values(row))
            except IntegrityError:
                raise ConfigError("exists.", where=f"tenant {name!r}", remedy="Choose another name.") from None
            return _tenant(row)

        return await self._database.write(work)

    async def change(self, name: str, budgets: Budgets, *, priority: int | None = None) -> Tenant:
        """Replace all limits; what is spent stays spent. Raises ConfigError for an unknown tenant or a wrong limit."""
        values = _limits(budgets) | ({} if priority is None else {"priority": priority})
        statement = update(tenants).where(tenants.c.name == name).values(values).returning(*tenants.c)
        row = await self._database.write(lambda connection: connection.execute(statement).mappings().one_or_none())
        return _tenant(_known(row, name))

    async def suspend(self, name: str, suspended: bool = True) -> Tenant:
        """Refuse its further requests in every worker, or admit them again; open ones end normally.

        Raises ConfigError for an unknown tenant.
        """

        def work(connection: Connection) -> Tenant:
            since = func.coalesce(tenants.c.suspended_ms, self._database.now_ms(connection)) if suspended else None
            statement = update(tenants).where(tenants.c.name == name).values(suspended_ms=since).returning(*tenants.c)
            return _tenant(_known(connection.execute(statement).mappings().one_or_none(), name))

        return await self._database.write(work)

    async def get(self, name: str) -> Tenant:
        """One tenant. Raises ConfigError if it is unknown."""
        row = await self._database.read(
            lambda connection: connection.execute(_FIND_TENANT, {"name": name}).mappings().one_or_none()
        )
        return _tenant(_known(row, name))

    async def all(self) -> list[Tenant]:
        """All tenants by name."""
        statement = select(tenants).order_by(tenants.c.name)
        rows = await self._database.read(lambda connection: connection.execute(statement).mappings().all())
        return [_tenant(row) for row in rows]

    async def keys(self, tenant: str) -> list[Key]:
        """A tenant's keys, oldest first, revoked and expired ones too. Raises ConfigError if it is unknown."""
        statement = select(keys).where(keys.c.tenant == tenant).order_by(keys.c.created_ms, keys.c.id)

        def work(connection: Connection) -> list[Key]:
            _known(connection.execute(_FIND_TENANT, {"name": tenant}).mappings().one_or_none(), tenant)
            return [_key(row) for row in connection.execute(statement).mappings()]

        return await self._database.read(work)

    async def new_key(self, tenant: str, name: str, expires: datetime | None = None) -> str:
        """A new key's text, which is not kept: whoever loses it needs another. Raises ConfigError."""
        statement, named = select(tenants.c.name).where(tenants.c.name == tenant), _name("key", name)

        def work(connection: Connection) -> str:
            _known(connection.execute(statement).mappings().one_or_none(), tenant)
            text, values = _fresh_key(tenant, named, self._database.now_ms(connection), expires)
            connection.execute(insert(keys).values(values))
            return text

        return await self._database.write(work)

    async def rotate(self, key_id: str, *, grace_s: float = 0) -> str:
        """A key in place of another, which stays valid for `grace_s`. Raises ConfigError if that one has ended."""
        statement = select(keys).where(keys.c.id == key_id).with_for_update()

        def work(connection: Connection) -> str:
            old = _key(_known_key(connection.execute(statement).mappings().one_or_none(), key_id))
            now_ms = self._database.now_ms(connection)
            if _reason(old, now_ms):
                raise ConfigError("has ended.", where=f"key {key_id!r}", remedy="Make a new key.")
            text, values = _fresh_key(old.tenant, old.name, now_ms, old.expires)
            end_ms = min(now_ms + int(grace_s * 1000), values["expires_ms"] or now_ms + int(grace_s * 1000))
            connection.execute(insert(keys).values(values))
            connection.execute(update(keys).where(keys.c.id == key_id).values(expires_ms=end_ms))
            return text

        return await self._database.write(work)

    async def revoke(self, key_id: str) -> None:
        """End a key at once. Raises ConfigError if it is unknown."""

        def work(connection: Connection) -> None:
            now_ms = self._database.now_ms(connection)
            statement = update(keys).where(keys.c.id == key_id).values(revoked_ms=now_ms).returning(keys.c.id)
            _known_key(connection.execute(statement).mappings().one_or_none(), key_id)

        await self._database.write(work)

    async def authenticate(self, key: str) -> Principal:
        """Whose key it is. Raises KeyRefused, which says the same to the caller whatever the reason.

        Raises TenantSuspended for a valid key of a tenant that is.

        Whether the public part is known is no secret; the comparison of the secret takes the same time for all.
        """
        key_id = _public_part(key)

        def work(connection: Connection) -> tuple[RowMapping | None, int]:
            row = connection.execute(_FIND_KEY, {"key_id": key_id}).mappings().one_or_none()
            return row, self._database.now_ms(connection)

        row, now_ms = await self._database.read(work)
        matches = hmac.compare_digest(row["digest"] if row else _NO_DIGEST, _digest(key))
        if row is None or not matches:
            raise KeyRefused("unknown", key_id if row else "")
        if reason := _reason(_key(row), now_ms):
            raise KeyRefused(reason, key_id)
        return _principal(row["tenant"], key_id, row)

    async def principal(self, name: str) -> Principal:
        """A tenant without a key, for a gateway that needs none. Raises ConfigError if it is unknown.

        Raises TenantSuspended if it is.
        """
        row = await self._database.read(
            lambda connection: connection.execute(_FIND_TENANT, {"name": name}).mappings().one_or_none()
        )
        return _principal(name, "", _known(row, name))


def instant(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment: datetime, where: str) -> int:
    """A time with its zone as milliseconds since 1970. Raises ConfigError for a time without a zone."""
    if moment.tzinfo is None:
        raise ConfigError(f"{moment} has no time zone.", where=where, remedy="Give it one, such as UTC.")
    return int(moment.timestamp() * 1000)


def _principal(tenant: str, key_id: str, row: Any) -> Principal:
    if row["suspended_ms"] is not None:
        raise TenantSuspended(tenant)
    limited = {column.name for column in _LIMITS if row[column.name] is not None}
    return Principal(
        tenant=tenant,
        key_id=key_id,
        priority=row["priority"],
        limits_usd=any(name.startswith("usd") for name in limited),
        limits_tokens=any(name.startswith("tokens") for name in limited),
    )


def _limits(budgets: Budgets) -> dict[str, int | None]:
    return {each.name: _limit(each.name, getattr(budgets, each.name)) for each in fields(Budgets)}


def _limit(name: str, value: Decimal | int | None) -> int | None:
    if value is None:
        return None
    if name.startswith("usd"):
        return exact_units(Decimal(value), name)
    if isinstance(value, int) and 0 <= value <= _MOST_COUNT:
        return value
    raise ConfigError(f"{value!r} is no limit.", where=name, remedy="Give a whole number from 0, or None for no limit.")


def _name(what: str, name: str) -> str:
    if name.strip() and len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    raise ConfigError(
        f"{name!r:.40} is no name.", where=what, remedy=f"Use 1 to {_LONGEST_NAME} characters that can be printed."
    )


def _known(row: Any, name: str) -> RowMapping:
    if row is None:
        raise ConfigError(
            "is unknown.", where=f"tenant {name!r}", remedy="Create it first, or list all: steproute tenants list."
        )
    return row  # type: ignore[no-any-return]


def _known_key(row: Any, key_id: str) -> RowMapping:
    if row is None:
        raise ConfigError("is unknown.", where=f"key {key_id!r}", remedy="List the tenant's keys.")
    return row  # type: ignore[no-any-return]


def _tenant(row: Any) -> Tenant:
    limits = {each.name: row[each.name] for each in fields(Budgets)}
    dollars = {name: usd_of(value) for name, value in limits.items() if name.startswith("usd") and value is not None}
    return Tenant(
        name=row["name"],
        budgets=Budgets(**(limits | dollars)),
        priority=row["priority"],
        created=instant(row["created_ms"]),
        suspended=None if row["suspended_ms"] is None else instant(row["suspended_ms"]),
    )


def _key(row: Any) -> Key:
    return Key(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        created=instant(row["created_ms"]),
        expires=None if row["expires_ms"] is None else instant(row["expires_ms"]),
        revoked=None if row["revoked_ms"] is None else instant(row["revoked_ms"]),
    )


def _fresh_key(tenant: str, name: str, now_ms: int, expires: datetime | None) -> tuple[str, dict[str, Any]]:
    key_id = secrets.token_hex(6)
    text = f"{_MARK}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = {"id": key_id, "tenant": tenant, "name": name, "digest": _digest(text), "created_ms": now_ms}
    return text, row | {"expires_ms": None if expires is None else milliseconds(expires, "expires")}


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="replace")).digest()


def _public_part(key: str) -> str:
    mark, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    if mark != _MARK or not (key_id and secret) or len(key) > _LONGEST_KEY or not key.isascii() or "\0" in key:
        raise KeyRefused("malformed")
    return key_id


def _reason(key: Key, now_ms: int) -> KeyReason | None:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= instant(now_ms) else None
