"""A database that is down for longer than a lease, with calls in flight and another process after their money."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import AttackedGateway, attacked
from tests.serve.test_races import PRICE
from tests.store.postgres import PostgresServer
from tests.store.requests import line

from steproute.core.errors import StorageError
from steproute.store import BudgetRefused, Budgets, Principal, Store, open_store

LEASE_S = 8.0
AT_ONCE = 8
BUDGET = AT_ONCE * PRICE


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.mark.parametrize("token_s", [0.1, 3.0], ids=["answers end in the outage", "answers outlive their lease"])
def test_an_outage_longer_than_a_lease_exceeds_no_budget(
    tmp_path: Path, postgres: PostgresServer, token_s: float
) -> None:
    postgres.sql("CREATE DATABASE outage")
    models, settings = PaidServer(), f"lease_s = {LEASE_S}"
    url, budgets = postgres.url("outage"), Budgets(usd_per_day=BUDGET)
    with (
        served(models) as upstream,
        attacked(tmp_path, upstream, database=url, settings=settings, budgets=budgets) as gateway,
    ):
        models.token_s = token_s
        statuses, admitted = asyncio.run(_outage(gateway, models, postgres))
        spent, unaccounted = gateway.spent(), gateway.in_store(lambda store: store.ledger.unaccounted_usd())
    assert set(statuses) == {200 if token_s < 1 else 503}
    assert spent.window == spent.lines <= BUDGET
    assert spent.lines > admitted * PRICE  # what was in flight is on the ledger
    assert (spent.reserved, spent.discrepancies, unaccounted) == (0, 0, 0)


async def _outage(gateway: AttackedGateway, models: PaidServer, postgres: PostgresServer) -> tuple[list[int], int]:
    """The statuses of the requests in flight, and how many requests the other process could pay."""
    store = await open_store(gateway.database, worker="other", lease_s=LEASE_S)
    try:
        async with gateway.client() as client:
            fields = {"max_tokens": 15, "steproute": {"max_cost_usd": float(PRICE)}}
            asking = [asyncio.create_task(client.ask(2, **fields)) for _ in range(AT_ONCE)]
            while len(models.asked) < AT_ONCE or not all(request.generated for request in models.asked):
                await asyncio.sleep(0.01)
            postgres.kill()
            await asyncio.sleep(2 * LEASE_S)
            spending = asyncio.create_task(_spend_what_is_left(store))
            await asyncio.to_thread(postgres.start)
            return [answer.status_code for answer in await asyncio.gather(*asking)], await spending
    finally:
        await store.close()


async def _spend_what_is_left(store: Store) -> int:
    """Pay one request after another, until the rest is too little and nothing is held any more."""
    until, paid, principal = time.monotonic() + 10 * LEASE_S, 0, Principal(tenant="payer", key_id="k")
    while time.monotonic() < until:
        try:
            asked = {"request_id": f"other-{paid}", "route": "cheap", "usd": PRICE, "tokens": 15}
            reservation = await store.ledger.reserve(principal, **asked)
            await reservation.close([line(PRICE)])
            paid += 1
        except BudgetRefused as refusal:
            await store.ledger.expire()
            if refusal.kind == "budget" and refusal.shortage.reserved == Decimal(0):
                break
            await asyncio.sleep(0.1)
        except StorageError:
            await asyncio.sleep(0.01)
    return paid
