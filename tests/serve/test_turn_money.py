"""A tenant's budgets hold on a route that routes tools, whatever its agents and its models do."""

import asyncio
import sqlite3
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from tests.backends.http.hostile import Fault
from tests.backends.test_openai_chat import delta
from tests.serve.turn_gateway import ASK, BUDGETS, TOOLS, TurnGateway, body
from tests.serve.turning import call, calling

WRONG = calling(call("find", '{"a": "wrong"}'))
STRONG = calling(call("read", '{"page": 7}'))


async def _agent(http: httpx2.AsyncClient, number: int, **fields: Any) -> list[httpx2.Response]:
    """Ask, streaming every other time, until the budget is spent."""
    answers: list[httpx2.Response] = []
    while len(answers) < 500:
        answers.append(await http.post("chat/completions", json=body(stream=len(answers) % 2 == number % 2, **fields)))
        if answers[-1].status_code == 402:
            break
    return answers


@pytest.mark.parametrize("tenant", ["dollars", "tokens"])
def test_several_agents_at_once_never_spend_more_than_the_budget(turns: TurnGateway, tenant: str) -> None:
    """Each is refused in the end by a status that no client retries, and nothing stays reserved."""
    turns.upstream.says(weak=WRONG, strong=STRONG)

    async def play() -> list[list[httpx2.Response]]:
        async with turns.http(tenant) as http:
            return await asyncio.gather(*(_agent(http, number, max_tokens=20) for number in range(4)))

    played = asyncio.run(play())
    assert sum(answer.status_code == 200 for answers in played for answer in answers) > 3
    assert {answer.status_code for answers in played for answer in answers} <= {200, 402, 429}
    for answers in played:
        assert answers[-1].status_code == 402
        assert answers[-1].headers["x-should-retry"] == "false"
        assert answers[-1].json()["error"]["type"] == "insufficient_quota"
    day = turns.day(tenant)
    assert day.spent_usd <= (BUDGETS[tenant].usd_per_day or 1)
    assert day.spent_tokens <= (BUDGETS[tenant].tokens_per_day or 10**9)
    assert (day.reserved_usd, day.reserved_tokens) == (0, 0)


def test_openais_client_asks_once_when_the_budget_is_spent(turns: TurnGateway) -> None:
    turns.upstream.says(weak=WRONG, strong=STRONG)
    client = turns.gateway.client(turns.keys["dollars"])
    with pytest.raises(openai.APIStatusError) as failure:
        client.chat.completions.create(model="agent", messages=ASK, tools=TOOLS, max_tokens=100_000)
    assert failure.value.status_code == 402
    assert turns.upstream.asked == []


def test_tries_after_failures_stay_within_the_reserved_tokens(turns: TurnGateway) -> None:
    turns.upstream.says(weak=[delta(content="word " * 20), delta(content="word " * 20), delta("stop")], strong=STRONG)
    turns.upstream.faults = {"weak": Fault.EARLY_END}
    turns.ask("retries", model="retrying", max_tokens=50)
    query = "SELECT id, asked_tokens FROM requests WHERE tenant = 'retries'"
    (row,) = sqlite3.connect(turns.gateway.database).execute(query).fetchall()
    day = turns.day("retries")
    assert turns.upstream.models.count("weak") > 1
    assert 0 < day.spent_tokens <= row[1]
    assert day.reserved_usd == Decimal(0)
