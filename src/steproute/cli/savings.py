"""`steproute savings`: what routing has saved."""

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from steproute.cli.gateway_store import Database, First, Last, Route, Tenant, selected, with_store
from steproute.cli.options import Config, Json
from steproute.cli.terminal import Terminal, print_json

if TYPE_CHECKING:
    from steproute.serve.savings import MeasuredBaseline
    from steproute.store import Measured, Savings, Store


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
    Measured is what that model alone did cost on the share of requests that baseline_share of the route draws, scaled
    to all of them, with a 95 % interval. The tenant baseline pays for measuring.

    Example: steproute savings --tenant research --first 2026-11-01
    """

    async def work(store: "Store") -> "tuple[list[Savings], list[Measured]]":
        chosen = selected(tenant, route, first, last)
        return await store.ledger.savings(chosen), await store.baselines.measured(chosen)

    routes, samples = with_store(config, database, work)
    from steproute.serve.savings import measured_of, report

    if json:
        import msgspec

        print_json(msgspec.json.encode(report(routes, samples)).decode())
        return
    table = Table()
    for heading in ("tenant", "route", "requests", "without routing", "measured", "spent", "saved"):
        table.add_column(heading, justify="left" if heading in ("tenant", "route") else "right")
    for each, measured in zip(routes, measured_of(routes, samples), strict=True):
        spent = (_dollars(amount) for amount in (each.spent_usd, each.saved_usd))
        cells = (escape(each.tenant), escape(each.route), str(each.requests), _dollars(each.baseline_usd))
        table.add_row(*cells, _measured(measured), *spent)
    Terminal().print(table)


def _measured(measured: "MeasuredBaseline | None") -> str:
    """The estimate, its interval if there is one, and how many requests it rests on."""
    if measured is None:
        return ""
    within = "" if measured.low_usd is None else f" [{measured.low_usd:.6f}, {measured.high_usd:.6f}]"
    return escape(f"${measured.baseline_usd:.6f}{within} by {measured.requests}")


def _dollars(usd: Decimal) -> str:
    return f"{'-' if usd < 0 else ''}${abs(usd):.6f}"
