"""What `/readyz` says, how often it asks the servers, and when it is 503."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.backends.http.hostile import HostileServer

from steproute.config import read_setup
from steproute.core.errors import BackendUnavailable, StorageError
from steproute.core.solution import Meter
from steproute.engine.limiter import Limiter
from steproute.serve.app import application

DEAD = "http://127.0.0.1:9/v1"
_MODEL = """
[models.{role}]
backend = "openai"
base_url = "{url}"
model = "m"
kind = "openai"
continuation = "instruct"
limiter = {{ failures_to_open = 1, cooldown_s = {cooldown_s} }}
"""
_ROUTE = """
[route]
policy = "random"
[limits]
retries = 0
{limits}
"""


class Listing(HostileServer):
    """Counts how often it is asked for its models."""

    def __init__(self) -> None:
        super().__init__(lambda request: None)


Use = Callable[[Any, httpx2.AsyncClient], Awaitable[None]]


def use(
    folder: Path, then: Use, *, weak: str = "", strong: str = "", limits: str = "", cooldown_s: float = 60
) -> Listing:
    """A gateway on a server that lists its models; a role with an address has that instead."""

    async def run() -> Listing:
        async with Listing().running() as server:
            file, roles = folder / "steproute.toml", {"weak": weak or server.url, "strong": strong or server.url}
            models = (_MODEL.format(role=role, url=url, cooldown_s=cooldown_s) for role, url in roles.items())
            file.write_text("".join(models) + _ROUTE.format(limits=limits))
            app = application(read_setup(file), f"sqlite:///{folder / 'gateway.db'}")
            async with app.router.lifespan_context(app):
                transport = httpx2.ASGITransport(app=app)
                async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                    await then(app.state.gateway, client)
        assert isinstance(server, Listing)
        return server

    return asyncio.run(run())


def test_probes_that_come_together_ask_each_role_once(tmp_path: Path) -> None:
    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        replies = await asyncio.gather(*(client.get("/readyz") for _ in range(5)))
        assert {reply.status_code for reply in replies} == {200}
        assert (await client.get("/readyz")).json() == {
            "status": "ready",
            "ledger": "ok",
            "roles": {"weak": "ok", "strong": "ok"},
            "routes": {"default": "ok", "weak": "ok", "strong": "ok"},
        }

    assert len(use(tmp_path, probe).asked) == 2


def test_what_is_known_is_asked_again_after_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.serve.readiness._KEPT_S", 0.0)

    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        for _ in range(2):
            await client.get("/readyz")

    assert len(use(tmp_path, probe).asked) == 4


def test_a_dead_server_takes_its_routes_down_and_not_the_gateway(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        reply = await client.get("/readyz")
        assert reply.status_code == 200
        assert reply.json()["roles"] == {"weak": "ok", "strong": "down"}
        assert reply.json()["routes"] == {"default": "down", "weak": "ok", "strong": "down"}
        assert "127.0.0.1" not in reply.text
        await client.get("/readyz")

    use(tmp_path, probe, strong=DEAD)
    assert [each.getMessage().startswith("not ready: role strong: ") for each in caplog.records].count(True) == 1


@pytest.mark.parametrize(
    ("dead", "limits"),
    [("strong", 'on_strong_failure = "accept"'), ("weak", 'on_weak_failure = "strong"')],
)
def test_a_route_does_without_a_role_that_its_limits_replace(tmp_path: Path, dead: str, limits: str) -> None:
    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        routes = (await client.get("/readyz")).json()["routes"]
        assert (routes["default"], routes[dead]) == ("ok", "down")

    use(tmp_path, probe, limits=limits, **{dead: DEAD})


def test_it_is_503_if_no_route_can_answer(tmp_path: Path) -> None:
    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["status"]) == (503, "not ready")

    use(tmp_path, probe, weak=DEAD, strong=DEAD)


@pytest.mark.parametrize(("cooldown_s", "state"), [(60, "circuit open"), (1e-9, "ok")])
def test_a_role_is_down_while_its_circuit_refuses_calls(tmp_path: Path, cooldown_s: float, state: str) -> None:
    """Once a probe is due, requests must come again, or the circuit would stay open for good."""

    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        await fail(gateway.setup.roles.model("strong").limiter)
        body = (await client.get("/readyz")).json()
        assert (body["roles"]["strong"], body["routes"]["strong"]) == (state, "ok" if state == "ok" else "down")

    use(tmp_path, probe, cooldown_s=cooldown_s)


async def fail(limiter: Limiter) -> None:
    with pytest.raises(BackendUnavailable):
        async with limiter.slot(Meter()):
            raise BackendUnavailable("it is down", where="m")
    assert limiter.is_open


def test_a_ledger_that_does_not_answer_is_503(tmp_path: Path) -> None:
    async def probe(gateway: Any, client: httpx2.AsyncClient) -> None:
        async def down() -> None:
            raise StorageError("it is down", where="/secret/place")

        gateway.readiness.ping = down
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["ledger"]) == (503, "down")
        assert "secret" not in reply.text

    use(tmp_path, probe)
