"""The part of `/metrics` that is read from the ledger at each scrape: what tenants have left, and orphans."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from steproute.core.errors import StorageError
from steproute.store import Balance, Store

_LONGEST_S: Final = 5.0
_WINDOW: Final = ["tenant", "window"]


async def ledger_metrics(store: Store) -> bytes:
    """The ledger's numbers in Prometheus's text format; only that it is down if it does not answer."""
    try:
        async with asyncio.timeout(_LONGEST_S):
            families = [_up(1), *_left(await store.ledger.balances()), _orphans(await store.ledger.unaccounted_usd())]
    except (StorageError, TimeoutError):
        families = [_up(0)]
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families as they are."""
        return iter(self._families)


def _left(balances: list[Balance]) -> list[Metric]:
    """What new requests may still reserve, for windows that have a limit."""
    usd = GaugeMetricFamily("steproute_budget_left_usd", "US dollars left and not reserved", labels=_WINDOW)
    tokens = GaugeMetricFamily("steproute_budget_left_tokens", "Tokens left and not reserved", labels=_WINDOW)
    for balance in balances:
        if balance.left_usd is not None:
            usd.add_metric([balance.tenant, balance.window], float(balance.left_usd))
        if balance.left_tokens is not None:
            tokens.add_metric([balance.tenant, balance.window], balance.left_tokens)
    return [usd, tokens]


def _orphans(usd: Decimal) -> Metric:
    meaning = "US dollars that killed workers had reserved and never accounted for: the most that their calls cost"
    return CounterMetricFamily("steproute_unaccounted_usd", meaning, value=float(usd))


def _up(value: int) -> Metric:
    return GaugeMetricFamily("steproute_ledger_up", "1 if the ledger's database answers", value=value)
