"""Budgets are exact, however many ask at once in however many processes."""

import asyncio
from decimal import Decimal

import pytest
from tests.store.processes import WorkerProcess
from tests.store.requests import PRINCIPAL, reserve

from steproute.store import Budgets, Store, open_store

ASKED = 500


async def opened(url: str) -> Store:
    store = await open_store(url)
    await store.tenants.create(PRINCIPAL.tenant, Budgets(usd_per_day=Decimal("1.00")))
    return store


@pytest.mark.parametrize("processes", [1, 4])
def test_500_requests_at_once_get_exactly_the_budget_of_100(url: str, processes: int) -> None:
    async def use() -> None:
        store = await opened(url)
        assert await asyncio.to_thread(race, "hold", url, processes) == 100
        day, _ = await store.ledger.balances(PRINCIPAL.tenant)
        assert (day.reserved_usd, day.requests, day.left_usd) == (1, 100, 0)
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use())


@pytest.mark.parametrize("processes", [1, 4])
def test_what_is_released_can_be_spent_by_others_to_the_last_cent(url: str, processes: int) -> None:
    """0.004 are spent of each 0.01, so requests are admitted until less than 0.01 is left: 249 of them."""

    async def use() -> None:
        store = await opened(url)
        assert await asyncio.to_thread(race, "spend", url, processes) == 248
        day, _ = await store.ledger.balances(PRINCIPAL.tenant)
        assert (day.reserved_usd, day.spent_usd) == (0, Decimal("0.992"))
        (total,) = await store.ledger.totals()
        assert (total.calls, total.cost_usd) == (248, day.spent_usd)
        assert await store.ledger.audit() == []
        await reserve(store, "last", "0.008")
        await store.close()

    asyncio.run(use())


def race(task: str, url: str, processes: int) -> int:
    workers = [WorkerProcess(task, url, f"worker{number}", ASKED // processes) for number in range(processes)]
    for worker in workers:
        worker.begin()
    return sum(worker.result() for worker in workers)
