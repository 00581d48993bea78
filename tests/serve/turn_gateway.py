"""The gateway of `turning.py` with keys and budgets, and what its ledger says of a tenant."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
from tests.paid_servers import served
from tests.serve.running import RunningGateway, gateway
from tests.serve.turning import CONFIG, Turning

from steproute.store import Budgets, Store, open_store

_T = TypeVar("_T")
_MORE: Final = """
[serve.routes.retrying]
policy = "threshold"
knob = 0.5
tools = "route"
retries = 3
"""
BUDGETS: Final = {
    "open": Budgets(),
    "other": Budgets(),
    "dollars": Budgets(usd_per_day=Decimal("0.02")),
    "tokens": Budgets(tokens_per_day=300),
    "retries": Budgets(tokens_per_day=1000),
}
TOOLS: Final[list[Any]] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("find", "read")
]
ASK: Final[list[Any]] = [{"role": "user", "content": "Look it up."}]


@dataclass(frozen=True)
class TurnGateway:
    """keys: of each tenant."""

    gateway: RunningGateway
    upstream: Turning
    keys: dict[str, str]

    @property
    def database(self) -> str:
        return f"sqlite:///{self.gateway.database}"

    def http(self, tenant: str = "open") -> httpx2.AsyncClient:
        """A client that retries nothing."""
        return httpx2.AsyncClient(**self._settings(tenant))

    def http_now(self, tenant: str = "open") -> httpx2.Client:
        """The same for one request at a time."""
        return httpx2.Client(**self._settings(tenant))

    def _settings(self, tenant: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        return {"base_url": f"{self.gateway.url}/v1", "headers": headers, "timeout": 60}

    def ask(self, tenant: str = "open", path: str = "chat/completions", **fields: Any) -> httpx2.Response:
        """An answer, whatever its status."""
        with self.http_now(tenant) as http:
            return http.post(path, json=body(**fields))

    def in_store(self, do: "Coroutine[Any, Any, _T] | Any") -> Any:
        """Do something in the ledger from here."""

        async def opened() -> Any:
            store = await open_store(self.database)
            try:
                return await do(store)
            finally:
                await store.close()

        return asyncio.run(opened())

    def day(self, tenant: str) -> Any:
        """The tenant's day: spent and reserved."""

        async def read(store: Store) -> Any:
            return (await store.ledger.balances(tenant))[0]

        return self.in_store(read)


def body(**fields: Any) -> dict[str, Any]:
    """A request for a turn."""
    return {"model": "agent", "messages": ASK, "tools": TOOLS, **fields}


@contextmanager
def turn_gateway(folder: Path) -> Iterator[TurnGateway]:
    """The gateway, until the context ends."""
    upstream, keys = Turning(), asyncio.run(_keys(f"sqlite:///{folder / 'gateway.db'}"))
    patient = "limiter = {{ failures_to_open = 1000 }}\nprice"
    with served(upstream) as url:
        (folder / "steproute.toml").write_text((CONFIG.replace("price", patient) + _MORE).format(url=url))
        with gateway(folder, "--config", str(folder / "steproute.toml"), "--keys") as started:
            yield TurnGateway(started, upstream, keys)


async def _keys(database: str) -> dict[str, str]:
    store = await open_store(database, worker="test")
    try:
        for name, budgets in BUDGETS.items():
            await store.tenants.create(name, budgets)
        return {name: await store.tenants.new_key(name, "test") for name in BUDGETS}
    finally:
        await store.close()
