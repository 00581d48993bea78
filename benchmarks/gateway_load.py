"""Hundreds of streams at once through `steproute serve` on the lab: errors, memory, what is left open, and the sums.

    python benchmarks/gateway_load.py --minutes 5

First each model reads long problems until the lab's caches are full, so that the memory that follows is that of a
gateway that has run for a while. JSON: how the streams ended; for each worker its memory, with MiB per minute in the
second half and the half width of their 95 % interval, and its tasks, connections and sockets before the load, in the
middle of it, and 10 s after the last stream; and the ledger's dollars beside those of the traces. Exit code 1 if
`faults` names anything: a stream that was not answered, a task, connection or socket that is left, a worker that was
replaced, or sums that differ. Linux only.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count, repeat
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from steproute.store import Store, open_store

_SAMPLES = 150
_ROUNDS = 2
_ASIDES = " ".join(f"({label}) It is a sunny day." for label in range(2, 21))
_LONG = f"(1) Ben has 30 coins. {_ASIDES} {_ASIDES} How many coins does Ben have now?"
_SETTLE_S = 10.0
_SCRAPES = 3
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20

Held = Mapping[str, Mapping[str, int]]
"""What each worker, by process id, holds: `tasks`, `connections` of clients, and `sockets` of any kind."""


class Processes:
    """The gateway with its workers. samples: seconds, and MiB of each worker by process id."""

    def __init__(self, folder: Path, port: int, workers: int) -> None:
        self.database, self.url = f"sqlite:///{folder / 'gateway.db'}", f"http://127.0.0.1:{port}"
        self.samples: list[tuple[float, dict[str, float]]] = []
        command = [str(Path(sys.executable).with_name("steproute")), "serve", "--port", str(port)]
        command += ["--workers", str(workers), "--database", self.database]
        self._log = (folder / "log").open("wb")
        self._parent = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)
        self._workers = workers

    async def ready(self) -> None:
        """Until every worker has said what it holds."""
        while self._parent.poll() is None:
            try:
                if len(await self._measured()) == self._workers:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit("the gateway did not start")

    async def sampling(self, every_s: float) -> None:
        """Until cancelled."""
        while True:
            self.samples.append((time.monotonic(), {pid: self._mib(pid) for pid in self.pids()}))
            await asyncio.sleep(every_s)

    async def held(self) -> Held:
        """Tasks and connections as the gateway's own metrics count them, and sockets as the kernel does."""
        measured = await self._measured()
        return {pid: {**measured.get(pid, {}), "sockets": self._sockets(pid)} for pid in self.pids()}

    async def held_idle(self) -> Held:
        """The least of several measurements, since one may see the request that asks for it."""
        await asyncio.sleep(_SETTLE_S)
        found = []
        for _ in range(_SCRAPES):
            found.append(await self.held())
            await asyncio.sleep(1.3)
        return {
            pid: {name: min(each[pid][name] for each in found if pid in each) for name in counts}
            for pid, counts in found[-1].items()
        }

    def stop(self) -> int:
        self._parent.send_signal(signal.SIGTERM)
        code = self._parent.wait()
        self._log.close()
        return code

    def pids(self) -> list[str]:
        """Those of the workers."""
        if self._workers == 1:
            return [str(self._parent.pid)]
        children = Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children").read_text().split()
        return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    async def _measured(self) -> dict[str, dict[str, int]]:
        async with httpx2.AsyncClient(base_url=self.url, timeout=60) as client:
            text = (await client.get("/metrics")).text
        found: dict[str, dict[str, int]] = {}
        for family in text_string_to_metric_families(text):
            if family.name in ("steproute_tasks", "steproute_open_connections"):
                for sample in family.samples:
                    found.setdefault(sample.labels["worker"], {})[family.name.split("_")[-1]] = int(sample.value)
        return found

    def _mib(self, pid: str) -> float:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MIB

    def _sockets(self, pid: str) -> int:
        return sum(_target(file).startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir())


def _target(file: Path) -> str:
    try:
        return os.readlink(file)
    except FileNotFoundError:  # closed meanwhile
        return ""


async def stream(client: httpx2.AsyncClient, request: Mapping[str, Any]) -> str:
    """How one stream ended."""
    try:
        async with client.stream("POST", "/v1/chat/completions", json={**request, "stream": True}) as response:
            if response.status_code != 200:
                return str(response.status_code)
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    except httpx2.TransportError as failure:
        return type(failure).__name__
    return "answered" if '"finish_reason":"stop"' in lines[-2] and lines[-1] == "data: [DONE]" else "error event"


async def load(processes: Processes, streams: int, minutes: float) -> tuple[Counter[str], dict[str, Held]]:
    """How all streams ended, and what the workers held before, during and after them."""
    await processes.ready()
    for model in ("weak", "strong", "default"):
        await ask(processes.url, streams, repeat({"model": model, "max_tokens": 1} | user(_LONG), _ROUNDS * streams))
    held = {"before": await processes.held_idle()}
    sampling = asyncio.create_task(processes.sampling(60 * minutes / _SAMPLES))
    loading = asyncio.create_task(ask(processes.url, streams, requests_until(time.monotonic() + 60 * minutes)))
    await asyncio.sleep(30 * minutes)
    held["during"] = await processes.held()
    endings = await loading
    sampling.cancel()
    held["after"] = await processes.held_idle()
    return endings, held


def user(text: str) -> dict[str, Any]:
    """The field of a request."""
    return {"messages": [{"role": "user", "content": text}]}


def requests_until(end: float) -> Iterator[dict[str, Any]]:
    """Short problems, some of which the weak model solves alone."""
    for number in count():
        if time.monotonic() >= end:
            return
        text = f"(1) Ben has {number % 50 + 10} coins. (2) Mia has 12 more coins than Ben."
        yield {"model": "default"} | user(f"{text} How many coins does Mia have now?")


async def ask(url: str, streams: int, requests: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How the streams of all requests ended, so many at once."""
    endings: Counter[str] = Counter()
    left = iter(requests)

    async def go_on() -> None:
        for request in left:
            endings[await stream(client, request)] += 1

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=streams)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=300) as client:
        await asyncio.gather(*(go_on() for _ in range(streams)))
    return endings


def memory(samples: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
    """Of each worker: its slope, and MiB at the begin of each tenth of the load."""
    return {
        pid: slope([(at, mib[pid]) for at, mib in samples if pid in mib])
        | {"mib": [round(mib[pid]) for _, mib in samples[:: _SAMPLES // 10] if pid in mib]}
        for pid in samples[-1][1]
    }


def slope(samples: Sequence[tuple[float, float]]) -> dict[str, float]:
    """MiB per minute in the second half, with the half width of its 95 % interval from batch means.

    Neighbouring samples are not independent, so the interval is that of the means of ten batches.
    """
    late = np.array(samples[len(samples) // 2 :], float)
    batches = np.array([batch.mean(axis=0) for batch in np.array_split(late, 10)])
    minutes, mib = batches[:, 0] / 60, batches[:, 1]
    centred = minutes - minutes.mean()
    rate = float(centred @ mib / (centred @ centred))
    residuals = mib - mib.mean() - rate * centred
    error = float(np.sqrt(residuals @ residuals / (len(mib) - 2) / (centred @ centred)))
    return {"mib_per_minute": round(rate, 3), "half_width": round(2.306 * error, 3)}  # t of 8 degrees of freedom


def faults(endings: Mapping[str, int], held: Mapping[str, Held], sums: Mapping[str, str]) -> list[str]:
    """What the load must not show."""
    before, after = held["before"], held["after"]
    found = [f"{count} streams ended with {ending}" for ending, count in endings.items() if ending != "answered"]
    if before.keys() != after.keys():
        found.append(f"the workers were {sorted(before)} and are {sorted(after)}")
    for pid in before.keys() & after.keys():
        left = {name: after[pid][name] - count for name, count in before[pid].items()}
        found += [f"worker {pid}: {count} {name} are left" for name, count in left.items() if count > 0]
    if len({Decimal(sums[f"{name}_usd"]) for name in ("window", "lines", "traces")}) > 1:
        found.append("the sums of windows, lines and traces differ")
    return found + ([] if Decimal(sums["reserved_usd"]) == 0 else ["money is still reserved"])


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
        endings, held = asyncio.run(load(processes, options.streams, options.minutes))
        code = processes.stop()
        log = Path(folder, "log").read_text(errors="replace").splitlines()[3:]
        dollars = asyncio.run(sums(processes.database))
    found = faults(endings, held, dollars) + ([f"the gateway ended with {code}"] if code else [])
    facts = {"endings": dict(endings), "memory": memory(processes.samples), "held": held, "faults": found}
    facts |= {"log": [line for line in log if '"message": "request"' not in line], "machine_load": os.getloadavg()[0]}
    print(json.dumps(facts | dollars))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
