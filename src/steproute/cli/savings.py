"""`steproute savings`: what routing has saved."""

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from steproute.cli.gateway_store import Database, with_store
from steproute.cli.options import Config, Json
from steproute.cli.terminal import Terminal, print_json

if TYPE_CHECKING:
    from steproute.store import Savings, Store


def savings(
    tenant: Annotated[str | None, typer.Option(help="Of one tenant. Default: of all.")] = None,
    first: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, in UTC.")] = None,
    last: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, in UTC.")] = None,
    config: Config = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Print what the gateway spent, and what its answers would have cost without routing, by route.

    Everything counts as spent: scoring, discarded drafts, cancelled calls and retries. The price without routing is a
    model: the route's passthrough model reads each conversation once and writes as many tokens as the answer has.

    Example: steproute savings --tenant research --first 2026-11-01
    """

    async def work(store: "Store") -> "list[Savings]":
        from steproute.store import Period

        return await store.ledger.savings(tenant, Period(first=_day(first), last=_day(last)))

    routes = with_store(config, database, work)
    if json:
        import msgspec

        from steproute.serve.savings import report

        print_json(msgspec.json.encode(report(routes)).decode())
        return
    table = Table()
    for heading in ("route", "requests", "without routing", "spent", "saved"):
        table.add_column(heading, justify="left" if heading == "route" else "right")
    for each in routes:
        dollars = (_dollars(amount) for amount in (each.baseline_usd, each.spent_usd, each.saved_usd))
        table.add_row(escape(each.route), str(each.requests), *dollars)
    Terminal().print(table)


def _dollars(usd: Decimal) -> str:
    return f"{'-' if usd < 0 else ''}${abs(usd):.6f}"


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
