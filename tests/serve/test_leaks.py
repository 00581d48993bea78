"""Whatever goes wrong, each request gives back what it had reserved, and the ledger says what was used."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from tests.backends.http.hostile import Asked, Fault
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import AttackedGateway, Client, attacked

FAULTS = (Fault.SERVER_ERROR, Fault.RESET, Fault.EARLY_END, Fault.HANG, Fault.TRUNCATED_JSON, Fault.ERROR_BODY)
AT_ONCE = 24


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_fault_leaves_money_reserved(tmp_path: Path, requests: int) -> None:
    draw = random.Random(requests)

    def decide(request: Asked) -> Fault | None:
        return draw.choice(FAULTS) if draw.random() < 0.1 else None

    server = PaidServer()
    server.decide, server.token_s = decide, 0.002
    with served(server) as upstream, attacked(tmp_path, upstream) as gateway:
        endings = asyncio.run(_storm(gateway, requests, draw))
        until = time.monotonic() + 60
        while (spent := gateway.spent()).reserved and time.monotonic() < until:
            time.sleep(0.5)
    print(dict(endings), spent)
    assert {200, 502, "left"} <= endings.keys() <= {200, 502, "left"}, endings
    assert spent.reserved == spent.reserved_tokens == spent.discrepancies == 0
    assert spent.window == spent.lines == spent.traces > 0
    assert "Traceback" not in gateway.log, gateway.log


async def _storm(gateway: AttackedGateway, requests: int, draw: random.Random) -> Counter[int | str]:
    endings: Counter[int | str] = Counter()
    left = iter(range(requests))

    async def ask_on(client: Client) -> None:
        for number in left:
            endings[await _ending(client, number, draw)] += 1

    async with gateway.client() as client:
        await asyncio.gather(*(ask_on(client) for _ in range(AT_ONCE)))
    return endings


async def _ending(client: Client, number: int, draw: random.Random) -> int | str:
    """A status, or `left` if the client did not wait for the answer."""
    patience_s = draw.choice((None, None, None, draw.random()))
    limits = {"deadline_s": 2.0}
    ask = client.stream if draw.random() < 0.5 else client.ask
    try:
        async with asyncio.timeout(patience_s):
            answer = await ask(number, draw.choice(("cheap", "steps")), steproute=limits)
    except TimeoutError:
        return "left"
    if isinstance(answer, httpx2.Response):
        return answer.status_code
    return 502 if "error" in answer[-1] else 200
