"""API keys of the gateway's tenants."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from steproute.cli.gateway_store import Database, with_store
from steproute.cli.options import Config, Json
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal, print_json

if TYPE_CHECKING:
    from steproute.store import Key, Store

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `steproute keys list` shows it.")]


@app.command(cls=PlainCommand)
def create(
    tenant: Annotated[str, typer.Argument(help="Whose key it is.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "default",
    days: Annotated[float | None, typer.Option(help="Days until it expires. Default: never.")] = None,
    config: Config = None,
    database: Database = None,
) -> None:
    """Make a key and print it. It is not kept, so it is shown only now.

    Example: steproute keys create research --name notebook --days 90
    """
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work(store: "Store") -> str:
        return await store.tenants.new_key(tenant, name, expires)

    typer.echo(with_store(config, database, work))


@app.command(cls=PlainCommand)
def rotate(
    key_id: KeyId,
    grace_s: Annotated[float, typer.Option(help="Seconds for which the old key still works.")] = 0.0,
    config: Config = None,
    database: Database = None,
) -> None:
    """Replace a key by a new one, which is printed.

    Example: steproute keys rotate 3f2a9c --grace-s 3600
    """

    async def work(store: "Store") -> str:
        return await store.tenants.rotate(key_id, grace_s=grace_s)

    typer.echo(with_store(config, database, work))


@app.command(cls=PlainCommand)
def revoke(key_id: KeyId, config: Config = None, database: Database = None) -> None:
    """End a key at once.

    Example: steproute keys revoke 3f2a9c
    """

    async def work(store: "Store") -> None:
        await store.tenants.revoke(key_id)

    with_store(config, database, work)
    Terminal().print(f"revoked {escape(key_id)}", highlight=False)


@app.command("list", cls=PlainCommand)
def list_keys(
    tenant: Annotated[str, typer.Argument(help="Whose keys.")],
    config: Config = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List a tenant's keys, without their secrets.

    Example: steproute keys list research
    """

    async def work(store: "Store") -> "list[Key]":
        return await store.tenants.keys(tenant)

    keys = with_store(config, database, work)
    if json:
        import msgspec

        print_json(msgspec.json.encode(keys).decode())
        return
    table = Table()
    for heading in ("id", "name", "created", "state"):
        table.add_column(heading)
    for key in keys:
        table.add_row(key.id, escape(key.name), f"{key.created:%Y-%m-%d %H:%M}", _state(key))
    Terminal().print(table)


def _state(key: "Key") -> str:
    if key.revoked is not None:
        return f"revoked {key.revoked:%Y-%m-%d %H:%M}"
    if key.expires is None:
        return "valid"
    return f"{'valid until' if key.expires > datetime.now(UTC) else 'expired'} {key.expires:%Y-%m-%d %H:%M}"
