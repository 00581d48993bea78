"""Many requests at once against a small budget: not a unit too much is spent, and nothing stays held."""

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import AttackedGateway, Client, attacked

from steproute.store import Budgets

PRICE = Decimal("0.000003")
"""What the answer to "What is 2?" costs on the route `cheap`: 15 tokens. It is all that a request reserves here."""


@pytest.mark.parametrize("requests", [150, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("workers", [1, 4])
def test_requests_at_once_spend_no_more_than_the_budget_for_a_fifth_of_them(
    tmp_path: Path, database: str, workers: int, requests: int
) -> None:
    paid = requests // 5
    budgets = Budgets(usd_per_day=paid * PRICE)
    with (
        served(PaidServer()) as upstream,
        attacked(tmp_path, upstream, database=database, workers=workers, budgets=budgets) as gateway,
    ):
        answers = asyncio.run(_race(gateway, requests))
        spent = gateway.spent()
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: paid, 402: requests - paid}, gateway.log
    assert spent.reserved == 0
    assert spent.window == spent.lines == spent.traces == paid * PRICE
    assert "Traceback" not in gateway.log


async def _race(gateway: AttackedGateway, requests: int) -> list[httpx2.Response]:
    async with gateway.client() as client:
        return await asyncio.gather(*(_answered(client) for _ in range(requests)))


async def _answered(client: Client) -> httpx2.Response:
    """Ask again while others hold the money that this one needs."""
    while True:
        answer = await client.ask(2, max_tokens=15, steproute={"max_cost_usd": float(PRICE)})
        if answer.status_code != 429:
            return answer
        await asyncio.sleep(float(answer.headers["retry-after"]))
