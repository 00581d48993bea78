"""What was reported as settled survives every crash, and what was reserved does not stay reserved."""

import asyncio
import random
from decimal import Decimal

import pytest
from tests.store.postgres import PostgresServer
from tests.store.processes import WorkerProcess
from tests.store.requests import PRINCIPAL, line, reserve

from steproute.core.errors import StorageError
from steproute.store import Budgets, open_store

LIMIT = Decimal(1000)


def test_a_killed_worker_loses_no_settled_line(url: str) -> None:
    random_moments = random.Random(7)

    async def use() -> None:
        store = await open_store(url, lease_s=1)
        await store.tenants.create(PRINCIPAL.tenant, Budgets(usd_per_day=LIMIT))
        settled: list[str] = []
        for number in range(4):
            settled += await asyncio.to_thread(killed_after, url, f"w{number}", random_moments.randrange(1, 40))
            kept = {f"{each.request_id} {each.line.request_id[5:]}" async for each in store.ledger.lines()}
            assert set(settled) <= kept
            assert await store.ledger.audit() == []
        assert len(set(settled)) == len(settled)
        await until_released(store)
        (total,) = await store.ledger.totals()
        assert total.cost_usd == Decimal("0.01") * total.calls
        day, _ = await store.ledger.balances(PRINCIPAL.tenant)
        assert day.spent_usd == total.cost_usd
        await reserve(store, "rest", str(LIMIT - day.spent_usd))
        await store.close()

    asyncio.run(use())


def test_a_killed_server_loses_no_settled_line() -> None:
    server = PostgresServer()
    url = server.url()

    async def use() -> None:
        store = await open_store(url, lease_s=1)
        await store.tenants.create(PRINCIPAL.tenant)
        open_one, closing = await reserve(store, "open"), await reserve(store, "closing")
        await open_one.settle([line("0.001")])
        worker = WorkerProcess("settle", url, "w")
        worker.begin()
        said = [await asyncio.to_thread(worker.line) for _ in range(20)]
        await asyncio.to_thread(server.kill)
        said += await asyncio.to_thread(worker.kill)
        for refused in (store.ping(), reserve(store, "a"), closing.close([line("0.002")]), store.tenants.all()):
            with pytest.raises(StorageError):
                await refused
        await asyncio.to_thread(server.start)

        await store.ping()
        kept = {f"{each.request_id} {each.line.request_id[5:]}" async for each in store.ledger.lines()}
        assert {each for each in said if each.startswith("w-")} <= kept
        await open_one.close([line("0.001"), line("0.003")])
        await until_released(store)
        mine = await store.ledger.totals(["request_id"])
        assert {each.group: each.cost_usd for each in mine if not each.group[0].startswith("w-")} == {
            ("open",): Decimal("0.004"),
            ("closing",): Decimal("0.002"),
        }
        assert await store.ledger.audit() == []
        await store.close()

    try:
        asyncio.run(use())
    finally:
        server.stop()


def killed_after(url: str, name: str, lines: int) -> list[str]:
    worker = WorkerProcess("settle", url, name)
    worker.begin()
    said = [worker.line() for _ in range(lines)]
    return said + worker.kill()


async def until_released(store: object) -> None:
    """The leases of the workers last a second."""
    for _ in range(300):
        await store.ledger.expire()
        day, _ = await store.ledger.balances(PRINCIPAL.tenant)
        if day.reserved_usd == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(day)
