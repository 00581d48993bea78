"""What the commands about the gateway's database share."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from steproute.config import read_config
from steproute.config.gateway import ServeSettings, database_of
from steproute.core.errors import ConfigError

if TYPE_CHECKING:
    from steproute.store import Selection, Store

_T = TypeVar("_T")

Database = Annotated[
    str | None,
    typer.Option(help="The gateway's database. Default: that of [serve] in --config, else sqlite:///steproute.db."),
]

Tenant = Annotated[str | None, typer.Option(help="Of one tenant. Default: of all.")]
Route = Annotated[str | None, typer.Option(help="Of one route. Default: of all.")]
First = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, in UTC.")]
Last = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, in UTC.")]


def selected(tenant: str | None, route: str | None, first: datetime | None, last: datetime | None) -> "Selection":
    """The requests that these options choose."""
    from steproute.store import Period, Selection

    days = Period(first=None if first is None else first.date(), last=None if last is None else last.date())
    return Selection(tenant=tenant, route=route, period=days)


def missing_package(name: str | None) -> ConfigError:
    """The error for a part of the extra `serve` that is not installed."""
    return ConfigError(
        f"the package {name} is not installed.",
        where="serve",
        remedy="Install the gateway with pip install 'steproute[serve]'.",
    )


def with_store(config: Path | None, database: str | None, work: "Callable[[Store], Awaitable[_T]]") -> _T:
    """Open the database, do the work and close it. Raises ConfigError and StorageError."""
    try:
        from steproute.store import open_store
    except ModuleNotFoundError as missing:
        raise missing_package(missing.name) from None

    settings = ServeSettings() if config is None else read_config(config).gateway.serve
    address = database or database_of(settings)

    async def opened() -> _T:
        store = await open_store(address)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())
