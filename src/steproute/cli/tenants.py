"""Tenants of the gateway and their budgets."""

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from steproute.cli.gateway_store import Database, with_store
from steproute.cli.options import Config, Json
from steproute.cli.plain_help import PlainCommand
from steproute.cli.terminal import Terminal, print_json
from steproute.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steproute.store import Balance, Budgets, Store, Tenant

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

UsdPerDay = Annotated[str | None, typer.Option(help="Dollars per UTC day. 'none' for no limit.")]
UsdPerMonth = Annotated[str | None, typer.Option(help="Dollars per UTC month.")]
TokensPerDay = Annotated[str | None, typer.Option(help="Generated tokens per UTC day.")]
TokensPerMonth = Annotated[str | None, typer.Option(help="Generated tokens per UTC month.")]
RequestsPerMinute = Annotated[str | None, typer.Option(help="Requests per minute.")]
TokensPerMinute = Annotated[str | None, typer.Option(help="Generated tokens per minute.")]
Name = Annotated[str, typer.Argument(help="The tenant.")]


@app.command(cls=PlainCommand)
def create(
    name: Name,
    usd_per_day: UsdPerDay = None,
    usd_per_month: UsdPerMonth = None,
    tokens_per_day: TokensPerDay = None,
    tokens_per_month: TokensPerMonth = None,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    config: Config = None,
    database: Database = None,
) -> None:
    """Create a tenant with its budgets.

    Example: steproute tenants create research --usd-per-day 5 --usd-per-month 100
    """
    limits = _limits(
        usd_per_day, usd_per_month, tokens_per_day, tokens_per_month, requests_per_minute, tokens_per_minute
    )

    async def work(store: "Store") -> None:
        from steproute.store import Budgets

        await store.tenants.create(name, Budgets(**limits), priority=priority)

    with_store(config, database, work)
    Terminal().print(f"created {escape(name)}", highlight=False)


@app.command(cls=PlainCommand)
def change(
    name: Name,
    usd_per_day: UsdPerDay = None,
    usd_per_month: UsdPerMonth = None,
    tokens_per_day: TokensPerDay = None,
    tokens_per_month: TokensPerMonth = None,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.")] = None,
    suspended: Annotated[
        bool | None, typer.Option("--suspended/--active", help="Refuse further requests; open ones end. Or admit them.")
    ] = None,
    config: Config = None,
    database: Database = None,
) -> None:
    """Change the budgets that are given, and leave the others as they are. What is spent stays spent.

    Suspended tenants are refused with status 403 at once, by every worker.

    Example: steproute tenants change research --usd-per-day 10
    """
    limits = _limits(
        usd_per_day, usd_per_month, tokens_per_day, tokens_per_month, requests_per_minute, tokens_per_minute
    )

    async def work(store: "Store") -> None:
        tenant = await store.tenants.get(name)
        await store.tenants.change(name, replace(tenant.budgets, **limits), priority=priority)
        if suspended is not None:
            await store.tenants.suspend(name, suspended)

    with_store(config, database, work)
    Terminal().print(f"changed {escape(name)}", highlight=False)


@app.command("list", cls=PlainCommand)
def list_tenants(config: Config = None, database: Database = None, json: Json = False) -> None:
    """List all tenants with their budgets: what is spent and what new requests may still reserve.

    Example: steproute tenants list
    """

    async def work(store: "Store") -> "tuple[list[Tenant], list[Balance]]":
        return await store.tenants.all(), await store.ledger.balances()

    tenants, balances = with_store(config, database, work)
    windows = {tenant.name: [each for each in balances if each.tenant == tenant.name] for tenant in tenants}
    if json:
        import msgspec

        document = [_document(tenant, windows[tenant.name]) for tenant in tenants]
        print_json(msgspec.json.Encoder(decimal_format="string").encode(document).decode())
        return
    table = Table()
    for heading in ("tenant", "today", "this month", "rates", "priority", "created"):
        table.add_column(heading)
    for tenant in tenants:
        name = escape(tenant.name) + (" (suspended)" if tenant.suspended else "")
        spans = [_window(each) for each in windows[tenant.name]]
        rates = "\n".join(_rates(tenant.budgets)) or "no limit"
        table.add_row(name, *spans, rates, str(tenant.priority), f"{tenant.created:%Y-%m-%d %H:%M}")
    Terminal().print(table)


def _document(tenant: "Tenant", windows: "Sequence[Balance]") -> dict[str, Any]:
    from dataclasses import asdict

    shown = [asdict(each) | {"left_usd": each.left_usd, "left_tokens": each.left_tokens} for each in windows]
    return asdict(tenant) | {"windows": shown}


def _window(balance: "Balance") -> str:
    """What is spent, and what is left if there is a limit."""
    usd = "" if balance.left_usd is None else f", ${balance.left_usd:.6f} left"
    tokens = "" if balance.left_tokens is None else f", {balance.left_tokens} left"
    return f"${balance.spent_usd:.6f} spent{usd}\n{balance.spent_tokens} tokens{tokens}"


def _rates(budgets: "Budgets") -> list[str]:
    counts = {"requests": budgets.requests_per_minute, "tokens": budgets.tokens_per_minute}
    return [f"{count} {name} per minute" for name, count in counts.items() if count is not None]


_NAMES = (
    "usd_per_day",
    "usd_per_month",
    "tokens_per_day",
    "tokens_per_month",
    "requests_per_minute",
    "tokens_per_minute",
)


def _limits(*values: str | None) -> dict[str, Any]:
    """The limits that are given; `none` takes one away. Raises ConfigError."""
    return {name: _limit(name, text) for name, text in zip(_NAMES, values, strict=True) if text is not None}


def _limit(name: str, text: str) -> Decimal | int | None:
    if text.strip().lower() == "none":
        return None
    try:
        return Decimal(text) if name.startswith("usd") else int(text)
    except (InvalidOperation, ValueError):
        option = name.replace("_", "-")
        raise ConfigError(f"{text!r} is no limit.", where=option, remedy="Give a number, or none.") from None
