"""The end of a gateway under load: nothing accepted is cut, nothing new is taken."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import AttackedGateway, attacked, body, is_whole

TOKEN_S = 0.05


@pytest.fixture
def models() -> Iterator[PaidServer]:
    server = PaidServer()
    server.token_s = TOKEN_S
    with served(server):
        yield server


@pytest.mark.parametrize("workers", [1, 2])
def test_accepted_requests_are_answered_and_new_ones_refused(models: PaidServer, tmp_path: Path, workers: int) -> None:
    with attacked(tmp_path, models.url, workers=workers) as gateway:
        asyncio.run(_drain_under_load(gateway, models))
        assert gateway.process.wait(30) == 0, gateway.log
        spent = gateway.spent()
    assert spent.reserved == 0
    assert spent.window == spent.lines == spent.traces > 0
    assert "Traceback" not in gateway.log


async def _drain_under_load(gateway: AttackedGateway, models: PaidServer) -> None:
    async with gateway.client() as client, gateway.client() as later:
        idle = [await later.http.get("/healthz") for _ in range(2 * gateway.workers)]
        streams = [asyncio.create_task(client.stream(number, "steps")) for number in range(2, 8)]
        answers = [asyncio.create_task(client.ask(number, "steps")) for number in range(2, 8)]
        while len({request.body["model"] for request in models.asked}) < 2 or len(models.asked) < 24:
            await asyncio.sleep(0.01)
        gateway.process.send_signal(signal.SIGTERM)
        refused = None
        while refused is None or refused.status_code == 200:
            refused = await later.ask()
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert len(idle) == 2 * gateway.workers
        assert all(map(is_whole, await asyncio.gather(*streams)))
        assert [answer.status_code for answer in await asyncio.gather(*answers)] == [200] * 6


def test_a_client_that_reads_slowly_gets_its_whole_stream(models: PaidServer, tmp_path: Path) -> None:
    with attacked(tmp_path, models.url) as gateway:
        sent = b'{"model": "steps", "stream": true, "messages": [{"role": "user", "content": "What is 3?"}]}'
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
            received = connection.recv(10)
            gateway.process.send_signal(signal.SIGTERM)
            while block := connection.recv(200):
                received += block
                time.sleep(0.02)
        assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert gateway.process.wait(30) == 0


def test_what_takes_too_long_ends_with_an_error_and_is_billed(models: PaidServer, tmp_path: Path) -> None:
    models.token_s = 2.0
    with attacked(tmp_path, models.url, settings="drain_s = 0.5") as gateway:
        stream, answer = asyncio.run(_ended_by(gateway, models, signal.SIGTERM))
        assert gateway.process.wait(30) == 0, gateway.log
        spent = gateway.spent()
    assert stream[-1]["error"]["code"] == answer.json()["error"]["code"] == "interrupted"
    assert answer.status_code == 503
    assert spent.reserved == 0
    assert spent.window == spent.lines == spent.traces > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_at_once(models: PaidServer, tmp_path: Path, workers: int) -> None:
    models.token_s = 60.0
    with attacked(tmp_path, models.url, workers=workers, settings="drain_s = 3600") as gateway:
        stream, _ = asyncio.run(_ended_by(gateway, models, signal.SIGTERM, signal.SIGTERM))
        assert gateway.process.wait(30) == 0
        spent = gateway.spent()
    assert 1 <= gateway.log.count("a second signal ends") <= workers  # one without requests has stopped before
    assert "Traceback" not in gateway.log
    assert stream[-1]["error"]["code"] == "interrupted"
    assert spent.reserved == 0


def test_ctrl_c_in_a_terminal_counts_once(models: PaidServer, tmp_path: Path) -> None:
    """It reaches the workers as well as their parent, which sends them SIGTERM."""
    with attacked(tmp_path, models.url, workers=2) as gateway:
        stream, answer = asyncio.run(_ended_by(gateway, models, signal.SIGINT, group=True))
        assert gateway.process.wait(30) == 0
    assert is_whole(stream)
    assert answer.status_code == 200


async def _ended_by(
    gateway: AttackedGateway, models: PaidServer, *signals: int, group: bool = False
) -> tuple[list[dict[str, object]], httpx2.Response]:
    async with gateway.client() as client:
        requests = asyncio.gather(client.stream(2, "steps"), client.ask(2, "steps"))
        while len(models.asked) < 2:
            await asyncio.sleep(0.01)
        for number in signals:
            (os.killpg if group else os.kill)(gateway.process.pid, number)
            await asyncio.sleep(1)
        return await requests


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_upstream_call(models: PaidServer, tmp_path: Path, stream: bool) -> None:
    with attacked(tmp_path, models.url) as gateway:
        asyncio.run(_leave(gateway, models, stream))
        [call] = models.asked
        while gateway.spent().reserved:
            time.sleep(0.05)
        spent = gateway.spent()
    assert call.closed_by_client
    assert call.generated <= 8
    assert spent.window == spent.lines == spent.traces > 0


async def _leave(gateway: AttackedGateway, models: PaidServer, stream: bool) -> None:
    models.token_s = 0.3
    async with gateway.client() as client:
        asking = asyncio.create_task(client.http.post("/v1/chat/completions", json=body(2, stream=stream)))
        while not (models.asked and models.asked[0].generated >= 2):
            await asyncio.sleep(0.01)
        asking.cancel()
        left_at = models.asked[0].generated
        while not models.asked[0].closed_by_client:
            await asyncio.sleep(0.01)
    assert models.asked[0].generated <= left_at + 2
