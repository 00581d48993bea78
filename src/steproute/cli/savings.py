"""`steproute savings`: what routing has saved."""

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from steproute.cli.gateway_store import Database, First, Last, Route, Tenant, selected, with_store
from steproute.cli.options import Config, Json
from steproute.cli.terminal import Terminal, print_json

if TYPE_CHECKING:
    from steproute.store import Savings, Store


def savings(
    tenant: Tenant = None,
    route: Route = None,
    first: First = None,
    last: Last = None,
    config: Config = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Print what the gateway spent, and what its answers would have cost without routing, by tenant and route.

    Everything counts as spent: scoring, discarded drafts, cancelled calls and retries. The price without routing is a
    model: the route's passthrough model reads each conversation once and writes as many tokens as the answer has.

    Example: steproute savings --tenant research --first 2026-11-01
    """

    async def work(store: "Store") -> "list[Savings]":
        return await store.ledger.savings(selected(tenant, route, first, last))

    routes = with_store(config, database, work)
    if json:
        import msgspec

        from steproute.serve.savings import report

        print_json(msgspec.json.encode(report(routes)).decode())
        return
    table = Table()
    for heading in ("tenant", "route", "requests", "without routing", "spent", "saved"):
        table.add_column(heading, justify="left" if heading in ("tenant", "route") else "right")
    for each in routes:
        dollars = (_dollars(amount) for amount in (each.baseline_usd, each.spent_usd, each.saved_usd))
        table.add_row(escape(each.tenant), escape(each.route), str(each.requests), *dollars)
    Terminal().print(table)


def _dollars(usd: Decimal) -> str:
    return f"{'-' if usd < 0 else ''}${abs(usd):.6f}"
