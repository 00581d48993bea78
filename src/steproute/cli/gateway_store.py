"""What the commands about the gateway's database share."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from steproute.config import read_config
from steproute.config.gateway import ServeSettings, database_of
from steproute.core.errors import ConfigError

if TYPE_CHECKING:
    from steproute.store import Store

_T = TypeVar("_T")

Database = Annotated[
    str | None,
    typer.Option(help="The gateway's database. Default: that of [serve] in --config, else sqlite:///steproute.db."),
]


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
