"""A gateway with keys before a model server of the test, as processes that a test signals and kills."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from sqlalchemy import select
from tests.paid_servers import CONFIG
from tests.servers.processes import free_port

from steproute.store import Budgets, Store, open_store
from steproute.store.schema import traces

_START_S = 60.0
_T = TypeVar("_T")

KEY_VARIABLE = "ATTACKED_UPSTREAM_KEY"
UPSTREAM_KEY = "sk-planted-7f3a9c"
SERVE = """
[models.talks]
backend = "openai"
base_url = "{url}"
model = "talks"
kind = "openai"
continuation = "instruct"
price = {{ input = 0.05, output = 0.2 }}
[roles]
ladder = ["weak", "strong"]
[serve]
keys = true
max_in_flight = 1000
{settings}
[serve.routes.cheap]
role = "weak"
max_cost_usd = 0.001
retries = 1
[serve.routes.steps]
strategy = "stepwise"
max_cost_usd = 0.01
retries = 1
"""


@dataclass
class AttackedGateway:
    """`steproute serve` and its ledger. key: of the tenant `payer`."""

    folder: Path
    database: str
    workers: int = 1
    port: int = field(default_factory=free_port)
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")

    def start(self) -> None:
        command = [
            *(Path(sys.executable).with_name("steproute"), "serve", "--config", self.folder / "steproute.toml"),
            *("--port", str(self.port), "--database", self.database, "--workers", str(self.workers)),
        ]
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | {KEY_VARIABLE: UPSTREAM_KEY}
            )
        until = time.monotonic() + _START_S
        while not self.answers():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.05)

    def answers(self, path: str = "/healthz") -> bool:
        try:
            return bool(httpx2.get(self.url + path, timeout=5).status_code == 200)
        except httpx2.TransportError:
            return False

    def worker_pids(self) -> list[int]:
        """The processes that serve, oldest first."""
        if self.workers == 1:
            return [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def in_store(self, do: Callable[[Store], Coroutine[Any, Any, _T]]) -> _T:
        """Do something in the ledger from here."""

        async def opened() -> _T:
            store = await open_store(self.database)
            try:
                return await do(store)
            finally:
                await store.close()

        return asyncio.run(opened())

    def new_key(self, tenant: str, budgets: Budgets = Budgets()) -> str:
        async def made(store: Store) -> str:
            await store.tenants.create(tenant, budgets)
            return await store.tenants.new_key(tenant, "test")

        return self.in_store(made)

    def spent(self, tenant: str = "payer") -> "Spent":
        return self.in_store(lambda store: _spent(store, tenant))

    @asynccontextmanager
    async def client(self, key: str | None = None) -> AsyncIterator["Client"]:
        """Many connections at once, each of which waits as long as it takes."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        headers = {"authorization": f"Bearer {self.key if key is None else key}"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, limits=limits, timeout=120) as http:
            yield Client(http)


@dataclass(frozen=True)
class Spent:
    """What the ledger says of a tenant's day, in four ways that must agree."""

    window: Decimal
    reserved: Decimal
    reserved_tokens: int
    lines: Decimal
    traces: Decimal
    discrepancies: int


async def _spent(store: Store, tenant: str) -> Spent:
    day = (await store.ledger.balances(tenant))[0]
    kept = [await store.traces.get(entry.request_id, tenant) for entry in await _entries(store, tenant)]
    return Spent(
        window=day.spent_usd,
        reserved=day.reserved_usd,
        reserved_tokens=day.reserved_tokens,
        lines=sum([each.line.cost_usd async for each in store.ledger.lines(tenant)], Decimal(0)),
        traces=sum((each.trace.cost_usd for each in kept if each is not None), Decimal(0)),
        discrepancies=len(await store.ledger.audit()),
    )


async def _entries(store: Store, tenant: str) -> list[Any]:
    statement = select(traces.c.request_id).where(traces.c.tenant == tenant)
    return await store.ledger._database.read(lambda connection: list(connection.execute(statement)))


@dataclass(frozen=True)
class Client:
    """Requests of a test. Their problem decides how long the answer is."""

    http: httpx2.AsyncClient

    async def ask(self, number: int = 2, model: str = "cheap", **fields: object) -> httpx2.Response:
        return await self.http.post("/v1/chat/completions", json=body(number, model, **fields))

    async def stream(self, number: int = 2, model: str = "cheap", **fields: object) -> list[dict[str, Any]]:
        """The chunks; raises what a client raises if the stream breaks off."""
        sent = body(number, model, stream=True, **fields)
        async with self.http.stream("POST", "/v1/chat/completions", json=sent) as response:
            if response.status_code != 200:
                await response.aread()
                return [response.json()]
            return [json.loads(line[6:]) async for line in response.aiter_lines() if _is_chunk(line)]


def _is_chunk(line: str) -> bool:
    return line.startswith("data: ") and line != "data: [DONE]"


def body(number: int, model: str = "cheap", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": f"What is {number}?"}], **fields}


def is_whole(chunks: list[dict[str, Any]]) -> bool:
    """Whether a stream ended as an answer does."""
    return any(chunk.get("choices") and chunk["choices"][0]["finish_reason"] == "stop" for chunk in chunks)


@contextmanager
def attacked(
    folder: Path,
    upstream: str,
    *,
    database: str = "",
    workers: int = 1,
    settings: str = "",
    budgets: Budgets = Budgets(),
) -> Iterator[AttackedGateway]:
    """A running gateway with models at `upstream`; `weak` reads for nothing. settings: further lines of [serve]."""
    models = CONFIG.replace("input = 0.05", "input = 0").replace(
        'model = "', f'api_key_env = "{KEY_VARIABLE}"\nmodel = "'
    )
    models = models.format(url=upstream, prm_price=0.1)
    (folder / "steproute.toml").write_text(models + SERVE.format(url=upstream, settings=settings))
    gateway = AttackedGateway(folder, database or f"sqlite:///{folder / 'gateway.db'}", workers)
    gateway.key = gateway.new_key("payer", budgets)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
