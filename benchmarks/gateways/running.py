"""The upstream and the gateways as processes, each on a free port of loopback and in a folder of its own."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

import httpx2
from gateways.load import Endpoint

from steproute.store import Budgets, open_store

STEPROUTE = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "mock"
kind = "openai"
continuation = "instruct"
price = {{ input = 0.1, output = 0.4 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "mock"
kind = "openai"
continuation = "instruct"
price = {{ input = 1, output = 10 }}
[route]
policy = "random"
knob = 0.5
"""
LM_PROXY = """
host = "127.0.0.1"
port = {port}
[connections.mock]
api_type = "openai"
api_base = "{url}"
api_key = "none"
[routing]
"*" = "mock.*"
[groups.default]
api_keys = ["lm-proxy-key"]
"""
ANY_LLM = {
    "host": "127.0.0.1",
    "master_key": "master",
    "pricing": {"openai:mock": {"input_price_per_million": 1, "output_price_per_million": 10}},
}


@contextmanager
def started(folder: Path, port: int, command: Sequence[object], environment: Mapping[str, str] = {}) -> Iterator[int]:
    """The process's id, once something listens at the port."""
    folder.mkdir()
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(each) for each in command], cwd=folder, env={**variables, **environment}, stdout=log, stderr=log
        )
        try:
            _wait(process, port, folder / "log")
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"{process.args!r} did not start: {log.read_text(errors='replace')[-3000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """Starts processes for as long as `stack` lasts. home: where install.sh has put the other gateways."""

    def __init__(self, stack: ExitStack, folder: Path, home: Path, *, delay_ms: float, pieces: int) -> None:
        self._stack, self._folder, self._home = stack, folder, home
        port, script = free_port(), Path(__file__).with_name("upstream.py")
        self._start("upstream", port, [sys.executable, script, port, delay_ms, pieces])
        self.direct = Endpoint(name="direct", port=port)
        self.url = f"http://127.0.0.1:{port}/v1"

    @property
    def gateways(self) -> Mapping[str, Callable[[str], Endpoint]]:
        """What starts each of them."""
        return {
            "steproute": lambda name: self._steproute(name, keys=False),
            "steproute, keys": lambda name: self._steproute(name, keys=True),
            "portkey": self._portkey,
            "lm-proxy": self._lm_proxy,
            "any-llm": self._any_llm,
            "optillm": self._optillm,
        }

    def _start(self, name: str, port: int, command: Sequence[object], environment: Mapping[str, str] = {}) -> int:
        return self._stack.enter_context(started(self._folder / name, port, command, environment))

    def _steproute(self, name: str, *, keys: bool) -> Endpoint:
        port, config = free_port(), self._folder / f"{name}.toml"
        config.write_text(STEPROUTE.format(url=self.url))
        database = f"sqlite:///{self._folder / name}.db"
        command = [Path(sys.executable).with_name("steproute"), "serve", "--config", config, "--port", port]
        key = asyncio.run(_new_key(database)) if keys else "none"
        pid = self._start(name, port, [*command, "--database", database, *(["--keys"] if keys else [])])
        return Endpoint(name=name, port=port, pid=pid, model="steproute/strong", headers=_bearer(key))

    def _portkey(self, name: str) -> Endpoint:
        port, script = free_port(), self._home / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
        # it refuses addresses of the own machine unless they are named
        environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
        pid = self._start(name, port, ["node", script, f"--port={port}", "--headless"], environment)
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": self.url} | _bearer("none")
        return Endpoint(name=name, port=port, pid=pid, headers=headers)

    def _lm_proxy(self, name: str) -> Endpoint:
        port, config = free_port(), self._folder / f"{name}.toml"
        config.write_text(LM_PROXY.format(url=self.url, port=port))
        pid = self._start(name, port, [self._home / "lm-proxy/bin/lm-proxy", "--config", config])
        return Endpoint(name=name, port=port, pid=pid, headers=_bearer("lm-proxy-key"))

    def _any_llm(self, name: str) -> Endpoint:
        port, config = free_port(), self._folder / f"{name}.yml"
        providers = {"openai": {"api_key": "none", "api_base": self.url}}
        settings = {"port": port, "database_url": f"sqlite:///{self._folder}/{name}.db", "providers": providers}
        config.write_text(json.dumps(ANY_LLM | settings))  # JSON is YAML
        pid = self._start(name, port, [self._home / "any-llm/bin/any-llm-gateway", "serve", "--config", config])
        made = httpx2.post(
            f"http://127.0.0.1:{port}/v1/keys", json={"key_name": "measured"}, headers=_bearer("master"), timeout=30
        )
        headers = _bearer(made.json()["key"])
        # each request holds one of 15 connections to its database; a 16th stops its event loop for 30 s, and all fail
        return Endpoint(name=name, port=port, pid=pid, model="openai:mock", headers=headers, most=15)

    def _optillm(self, name: str) -> Endpoint:
        port = free_port()
        command = [self._home / "optillm/bin/optillm", "--approach", "none", "--base-url", self.url, "--port", port]
        pid = self._start(name, port, command, {"OPENAI_API_KEY": "none"})
        return Endpoint(name=name, port=port, pid=pid, headers=_bearer("none"))


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def _new_key(database: str) -> str:
    store = await open_store(database)
    try:
        await store.tenants.create("measured", Budgets(usd_per_day=Decimal(100_000), usd_per_month=Decimal(1_000_000)))
        return await store.tenants.new_key("measured", "benchmark")
    finally:
        await store.close()
