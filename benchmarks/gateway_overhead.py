"""What the gateway adds to a request: the lab's models behind `steproute serve` and in this process, in turns.

    python benchmarks/gateway_overhead.py --requests 100

JSON: p50 and p95 of milliseconds per request, and CPU milliseconds per request, of both. Other work on the machine
moves the times much and the CPU little. Linux only.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import numpy as np

import steproute
from steproute.store import open_store

PROBLEM = "(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. How many coins does Mia have now?"
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def timed(ask: Callable[[int], Awaitable[object]], seed: int, pid: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of the process."""
    began, cpu = time.perf_counter(), cpu_s(pid)
    await ask(seed)
    return time.perf_counter() - began, cpu_s(pid) - cpu


async def compare(url: str, pid: int, key: str, requests: int) -> dict[str, object]:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:

        async def through_gateway(seed: int) -> None:
            sent = {"model": "default", "seed": seed, "messages": [{"role": "user", "content": PROBLEM}]}
            (await client.post("/v1/chat/completions", json=sent)).raise_for_status()

        async def in_process(seed: int) -> None:
            await steproute.asolve(PROBLEM, seed=seed)

        asks = {"gateway": (through_gateway, pid), "in process": (in_process, os.getpid())}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
        for seed in range(requests + 5):
            for name, (ask, of) in asks.items():
                taken[name].append(await timed(ask, seed, of))
    return {name: _summary(np.array(times[5:])) for name, times in taken.items()}


def _summary(times: "np.ndarray") -> dict[str, float]:
    p50, p95 = np.quantile(times[:, 0], (0.5, 0.95)) * 1000
    return {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "cpu_ms": round(float(times[:, 1].mean()) * 1000, 1)}


async def new_key(database: str) -> str:
    store = await open_store(database)
    try:
        await store.tenants.create("measured")
        return await store.tenants.new_key("measured", "benchmark")
    finally:
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--port", type=int, default=8798)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/gateway.db"
        key = asyncio.run(new_key(database))
        command = [str(Path(sys.executable).with_name("steproute")), "serve", "--keys", "--database", database]
        gateway = subprocess.Popen([*command, "--port", str(options.port)], stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{options.port}"
        try:
            while gateway.poll() is None and not _answers(url):
                time.sleep(0.1)
            print(json.dumps(asyncio.run(compare(url, gateway.pid, key, options.requests))))
        finally:
            gateway.terminate()
            gateway.wait()


def _answers(url: str) -> bool:
    try:
        return bool(httpx2.get(url + "/healthz").status_code == 200)
    except httpx2.TransportError:
        return False


if __name__ == "__main__":
    main()
