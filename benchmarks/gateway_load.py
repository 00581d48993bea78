"""Hundreds of streams at once through `steproute serve` on the lab: errors, memory, open files, and the ledger's sum.

    python benchmarks/gateway_load.py --minutes 5

JSON: streams answered and refused, MiB per minute of all workers in the second half with a 95 % interval, open
files at the begin and the end, and the ledger's dollars against those of the traces. Linux only.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import httpx2
import numpy as np

from steproute.store import Store, open_store

_SAMPLE_S = 2.0
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Processes:
    """The gateway with its workers. samples: seconds, MiB and open files of all workers together."""

    def __init__(self, folder: Path, port: int, workers: int) -> None:
        self.database, self.url = f"sqlite:///{folder / 'gateway.db'}", f"http://127.0.0.1:{port}"
        self.samples: list[tuple[float, float, int]] = []
        command = [Path(sys.executable).with_name("steproute"), "serve", "--port", str(port)]
        command += ["--workers", str(workers), "--database", self.database]
        self._log = (folder / "log").open("wb")
        self._parent = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)
        self._workers = workers

    async def ready(self, client: httpx2.AsyncClient) -> None:
        while self._parent.poll() is None:
            try:
                await client.get("/healthz")
                return
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
        raise SystemExit("the gateway did not start")

    async def sampling(self) -> None:
        """Until cancelled."""
        while True:
            self.samples.append(self.sample())
            await asyncio.sleep(_SAMPLE_S)

    def sample(self) -> tuple[float, float, int]:
        pids = self._pids()
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        return time.monotonic(), pages * _PAGE_MIB, sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)

    def stop(self) -> int:
        self._parent.send_signal(signal.SIGTERM)
        code = self._parent.wait()
        self._log.close()
        return code

    def _pids(self) -> list[int]:
        if self._workers == 1:
            return [self._parent.pid]
        children = Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def stream(client: httpx2.AsyncClient, number: int) -> str:
    """How one stream ended."""
    text = (
        f"(1) Ben has {number % 50 + 10} coins. (2) Mia has 12 more coins than Ben. How many coins does Mia have now?"
    )
    sent = {"model": "default", "stream": True, "messages": [{"role": "user", "content": text}]}
    try:
        async with client.stream("POST", "/v1/chat/completions", json=sent) as response:
            if response.status_code != 200:
                return str(response.status_code)
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    except httpx2.TransportError as failure:
        return type(failure).__name__
    return "answered" if '"finish_reason":"stop"' in lines[-2] and lines[-1] == "data: [DONE]" else "error event"


async def load(processes: Processes, streams: int, minutes: float) -> tuple[Counter[str], int, str]:
    """All endings, and the open files and the requests under way when all clients have left."""
    endings: Counter[str] = Counter()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=streams)
    async with httpx2.AsyncClient(base_url=processes.url, limits=limits, timeout=300) as client:
        await processes.ready(client)
        until = time.monotonic() + 60 * minutes

        async def go_on(number: int) -> None:
            while time.monotonic() < until:
                endings[await stream(client, number)] += 1
                number += streams

        sampling = asyncio.create_task(processes.sampling())
        await asyncio.gather(*map(go_on, range(streams)))
        sampling.cancel()
    await asyncio.sleep(_SAMPLE_S)
    return endings, processes.sample()[2], await in_flight(processes.url)


async def in_flight(url: str) -> str:
    """What the gateway's own metric says."""
    async with httpx2.AsyncClient(base_url=url) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return next((line.split()[1] for line in lines if line.startswith("steproute_in_flight ")), "absent")


def slope(samples: list[tuple[float, float, int]]) -> dict[str, float]:
    """MiB per minute in the second half, with the half width of its 95 % interval from batch means.

    The first half fills the lab's caches, which hold 256 sessions per model. Neighbouring samples are not independent,
    so the interval is that of the means of ten batches.
    """
    late = np.array(samples[len(samples) // 2 :], float)
    batches = np.array([batch.mean(axis=0) for batch in np.array_split(late, 10)])
    minutes, mib = batches[:, 0] / 60, batches[:, 1]
    centred = minutes - minutes.mean()
    rate = float(centred @ mib / (centred @ centred))
    residuals = mib - mib.mean() - rate * centred
    error = float(np.sqrt(residuals @ residuals / (len(mib) - 2) / (centred @ centred)))
    return {"mib_per_minute": round(rate, 3), "half_width": round(2.306 * error, 3)}  # t of 8 degrees of freedom


async def sums(database: str) -> dict[str, str]:
    """The ledger's dollars, in its windows and its lines, and those of the traces."""
    store = await open_store(database)
    try:
        day = (await store.ledger.balances("local"))[0]
        (total,) = await store.ledger.totals()
        return {
            "window_usd": str(day.spent_usd),
            "lines_usd": str(total.cost_usd),
            "traces_usd": str(await _traces_usd(store)),
            "reserved_usd": str(day.reserved_usd),
        }
    finally:
        await store.close()


async def _traces_usd(store: Store) -> Decimal:
    usd = Decimal(0)
    for (request_id,) in [total.group for total in await store.ledger.totals(["request_id"])]:
        kept = await store.traces.get(request_id, "local")
        usd += kept.trace.cost_usd if kept is not None else 0
    return usd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=8799)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder), options.port, options.workers)
        endings, idle_files, under_way = asyncio.run(load(processes, options.streams, options.minutes))
        code = processes.stop()
        facts = {
            "endings": dict(endings),
            "in_flight": under_way,
            "exit_code": code,
            "machine_load": os.getloadavg()[0],
        }
        samples = processes.samples
        memory = slope(samples) | {"mib_every_30_s": [round(mib) for _, mib, _ in samples[:: round(30 / _SAMPLE_S)]]}
        files = {"first": samples[0][2], "most": max(sample[2] for sample in samples), "idle": idle_files}
        log = Path(folder, "log").read_text(errors="replace").splitlines()[3:]
        print(
            json.dumps(facts | {"memory": memory, "files": files, "log": log} | asyncio.run(sums(processes.database)))
        )


if __name__ == "__main__":
    main()
