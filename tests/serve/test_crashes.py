"""kill -9 of workers and of the database under load: what was answered is on the ledger, and no budget is exceeded."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import AttackedGateway, Client, attacked, is_whole
from tests.store.postgres import PostgresServer

from steproute.store import Budgets, Store

LEASE_S = 12.0
AT_ONCE = 12
POOR = Decimal("0.0002")
"""A budget for some 60 answers."""
TIMES = [3, pytest.param(50, marks=pytest.mark.long)]


@dataclass
class Seen:
    """What clients saw. answered: the cost of each whole answer by its trace id."""

    answered: dict[str, Decimal] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    broken: int = 0
    ended_with_error: int = 0


@pytest.fixture
def models() -> Iterator[PaidServer]:
    server = PaidServer()
    server.token_s = 0.01
    with served(server):
        yield server


@pytest.mark.parametrize("times", TIMES)
def test_killed_workers_lose_no_line(models: PaidServer, tmp_path: Path, database: str, times: int) -> None:
    draw = random.Random(times)

    async def kill(gateway: AttackedGateway) -> None:
        while len(pids := gateway.worker_pids()) < 2:
            await asyncio.sleep(0.05)
        os.kill(draw.choice(pids), signal.SIGKILL)

    with attacked(tmp_path, models.url, database=database, workers=2, settings=f"lease_s = {LEASE_S}") as gateway:
        seen = _stormed(gateway, kill, times, draw)
        _check(gateway, seen)
    assert set(seen.refused) <= {402, 429}


@pytest.mark.parametrize("times", TIMES)
def test_a_killed_database_stops_requests_and_loses_no_line(models: PaidServer, tmp_path: Path, times: int) -> None:
    draw, server = random.Random(times), PostgresServer()

    async def kill(gateway: AttackedGateway) -> None:
        server.kill()
        await asyncio.sleep(draw.random())
        await asyncio.to_thread(server.start)

    try:
        server.sql("CREATE DATABASE crashed")
        url, settings = server.url("crashed"), f"lease_s = {LEASE_S}"
        with attacked(tmp_path, models.url, database=url, settings=settings) as gateway:
            seen = _stormed(gateway, kill, times, draw)
            _check(gateway, seen)
    finally:
        server.stop()
    assert seen.broken == 0
    assert 503 in seen.refused
    assert set(seen.refused) <= {402, 429, 503}


def _stormed(
    gateway: AttackedGateway, kill: Callable[[AttackedGateway], Awaitable[None]], times: int, draw: random.Random
) -> Seen:
    poor, seen, ended = gateway.new_key("poor", Budgets(usd_per_day=POOR)), Seen(), asyncio.Event()

    async def ask_on(client: Client) -> None:
        while not ended.is_set():
            await _ask(client, seen, draw)

    async def storm() -> None:
        async with gateway.client() as rich, gateway.client(poor) as little:
            asking = [asyncio.create_task(ask_on(rich if place % 3 else little)) for place in range(AT_ONCE)]
            for _ in range(times):
                await asyncio.sleep(0.5 + 1.5 * draw.random())
                await kill(gateway)
            before = len(seen.answered)
            while len(seen.answered) < before + 20:  # it serves again by itself
                await asyncio.sleep(0.1)
            ended.set()
            await asyncio.gather(*asking)

    asyncio.run(asyncio.wait_for(storm(), 60 + 30 * times))
    return seen


async def _ask(client: Client, seen: Seen, draw: random.Random) -> None:
    number, model = draw.randrange(2, 99), draw.choice(("cheap", "steps"))
    try:
        if draw.random() < 0.5:
            answer = await client.ask(number, model)
            last, whole, status = answer.json(), answer.status_code == 200, answer.status_code
        else:
            chunks = await client.stream(number, model)
            last, whole, status = chunks[-1], is_whole(chunks), 200 if len(chunks) > 1 else 503
    except httpx2.TransportError:
        seen.broken += 1
        await asyncio.sleep(0.1)
        return
    if whole:
        seen.answered[last["steproute"]["trace_id"]] = Decimal(last["steproute"]["cost_usd"])
    elif status == 200:
        assert last["error"]["message"], last
        seen.ended_with_error += 1
    else:
        seen.refused.append({"ledger_unavailable": 503, "budget_exceeded": 402}.get(last["error"]["code"], status))
        await asyncio.sleep(0.1)


def _check(gateway: AttackedGateway, seen: Seen) -> None:
    """Once leases have ended and what the database had missed is entered."""
    print(len(seen.answered), "answers", seen.broken, "broken", seen.ended_with_error, "errors", len(seen.refused))
    until = time.monotonic() + 5 * LEASE_S
    while (lost := _lost(gateway, seen)) or gateway.spent().reserved or gateway.spent("poor").reserved:
        assert time.monotonic() < until, (lost, gateway.spent(), gateway.spent("poor"))
        time.sleep(0.5)
    for tenant in ("payer", "poor"):
        spent = gateway.spent(tenant)
        assert spent.window == spent.lines >= spent.traces
        assert spent.discrepancies == 0
    assert gateway.spent("poor").window <= POOR


def _lost(gateway: AttackedGateway, seen: Seen) -> dict[str, Decimal]:
    """Answers that the ledger does not have at their price."""
    billed = gateway.in_store(_billed)
    return {trace: cost for trace, cost in seen.answered.items() if billed.get(trace) != cost}


async def _billed(store: Store) -> dict[str, Decimal]:
    """What the ledger says that each request cost."""
    totals = await store.ledger.totals(["request_id"])
    return {total.group[0]: total.cost_usd for total in totals}
