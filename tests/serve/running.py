"""A gateway as a process of a test, and clients of it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai
from tests.servers.processes import free_port, server

PROBLEM = "(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. How many coins does Mia have now?"
"""One that the lab's models can read."""


@dataclass(frozen=True)
class RunningGateway:
    """url: without /v1. database: its SQLite file."""

    url: str
    database: Path
    log: Path

    def client(self, key: str = "none", **settings: object) -> openai.OpenAI:
        """OpenAI's own client; each request that it sends is counted in `sent`."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, **settings)  # type: ignore[arg-type]

    def get(self, path: str, key: str = "none") -> httpx2.Response:
        return httpx2.get(self.url + path, headers={"authorization": f"Bearer {key}"})


@contextmanager
def gateway(folder: Path, *options: str, environment: Mapping[str, str] = {}) -> Iterator[RunningGateway]:
    """`steproute serve` with these options, until the context ends."""
    port, database = free_port(), folder / "gateway.db"
    command = [
        *(Path(sys.executable).with_name("steproute"), "serve", "--port", str(port)),
        *("--database", f"sqlite:///{database}", *options),
    ]
    with server(command, port, folder / "gateway.log", ready="/healthz", environment=environment) as running:
        yield RunningGateway(running.url.removesuffix("/v1"), database, running.log)
