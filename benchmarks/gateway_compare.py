"""What `steproute serve` adds to a request that it passes to one model, beside other gateways over the same upstream.

    python benchmarks/gateway_compare.py --gateways "$(benchmarks/gateways/install.sh)"

Every round measures the upstream itself and each gateway, under each load, in an order that changes. Tables in
Markdown: the median of the rounds, and their lowest and highest. Added milliseconds are a gateway's quantile less the
upstream's in the same round. CPU time is that of the gateway's process alone. Only loopback is used. Linux only.
"""

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import uvloop
from gateways.load import Endpoint, Times, load
from gateways.running import Running

PIECES: Final = 10
OURS: Final = "steproute, keys"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Whole answers or streams, by so many clients at once."""

    stream: bool
    clients: int


@dataclass(frozen=True)
class Result:
    """Milliseconds to the end and to the first piece, requests per second, and CPU milliseconds per request."""

    whole_ms: "np.ndarray"
    first_ms: "np.ndarray"
    per_s: float
    cpu_ms: float

    @classmethod
    def of(cls, times: Times, cpu_s: float) -> "Result":
        requests = len(times.whole_s)
        whole, first = np.array(times.whole_s) * 1000, np.array(times.first_s) * 1000
        return cls(whole, first, requests / times.took_s, cpu_s / requests * 1000)


ONE, MANY, FULL = Load(False, 1), Load(False, 16), Load(False, 64)
ONE_STREAM, MANY_STREAMS = Load(True, 1), Load(True, 16)
LOADS: Final = (ONE, MANY, FULL, ONE_STREAM, MANY_STREAMS)
Round = Mapping[tuple[str, Load], Result]
Measure = Callable[[Round, str], float]


def cpu_s(pid: int) -> float:
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measured(endpoint: Endpoint, kind: Load, seconds: float) -> Result:
    cpu = cpu_s(endpoint.pid)
    times = uvloop.run(load(endpoint, stream=kind.stream, clients=kind.clients, seconds=seconds))
    return Result.of(times, cpu_s(endpoint.pid) - cpu)


def rounds(endpoints: list[Endpoint], number: int, seconds: float) -> list[Round]:
    results: list[Round] = []
    for endpoint in endpoints:
        for stream in (False, True):  # opens connections and loads what is loaded on first use
            measured(endpoint, Load(stream, min(16, endpoint.most)), min(1.0, seconds))
    for turn in range(number):
        one: dict[tuple[str, Load], Result] = {}
        for kind in LOADS:
            for endpoint in endpoints[turn % len(endpoints) :] + endpoints[: turn % len(endpoints)]:
                if kind.clients <= endpoint.most:
                    one[endpoint.name, kind] = measured(endpoint, kind, seconds)
        results.append(one)
    return results


def added(kind: Load, quantile: float, *, first: bool = False) -> Measure:
    """Milliseconds that a gateway adds to the upstream's."""

    def measure(one: Round, name: str) -> float:
        def value(of: str) -> float:
            result = one[of, kind]
            return float(np.quantile(result.first_ms if first else result.whole_ms, quantile))

        return value(name) - value("direct")

    return measure


def ratio(measure: Measure) -> Measure:
    """To what it is for steproute with keys, in the same round."""
    return lambda one, name: measure(one, name) / measure(one, OURS)


def per_s(one: Round, name: str) -> float:
    return one[name, FULL].per_s


def cpu_ms(kind: Load) -> Measure:
    return lambda one, name: one[name, kind].cpu_ms


TABLES: Final[Mapping[str, Mapping[str, Measure]]] = {
    "Whole answers": {
        "p50 added, ms, 1 client": added(ONE, 0.5),
        "p95, 1 client": added(ONE, 0.95),
        "p50, 16 clients": added(MANY, 0.5),
        "p95, 16 clients": added(MANY, 0.95),
        "requests/s, 64 clients": per_s,
        "CPU ms per request, 1 client": cpu_ms(ONE),
        "16 clients": cpu_ms(MANY),
    },
    "Streams": {
        "p50 added, ms, 1 client": added(ONE_STREAM, 0.5),
        "p95, 1 client": added(ONE_STREAM, 0.95),
        "p50, 16 clients": added(MANY_STREAMS, 0.5),
        "p95, 16 clients": added(MANY_STREAMS, 0.95),
        "first piece, p50 added, 1 client": added(ONE_STREAM, 0.5, first=True),
        "CPU ms per stream, 1 client": cpu_ms(ONE_STREAM),
        "16 clients": cpu_ms(MANY_STREAMS),
    },
    f"Ratio to {OURS}": {
        "p50 added, 1 client": ratio(added(ONE, 0.5)),
        "p50 added, 16 clients": ratio(added(MANY, 0.5)),
        "requests/s": ratio(per_s),
        "CPU, 1 client": ratio(cpu_ms(ONE)),
        "CPU, 16 clients": ratio(cpu_ms(MANY)),
        "p50 added, 1 stream": ratio(added(ONE_STREAM, 0.5)),
        "p50 added, 16 streams": ratio(added(MANY_STREAMS, 0.5)),
    },
}


def table(title: str, columns: Mapping[str, Measure], names: list[str], results: list[Round]) -> str:
    lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name in names:
        cells = [_cell(measure, name, results) for measure in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measure: Measure, name: str, results: list[Round]) -> str:
    """The median and the range; `fails` for a load under which the gateway does not work."""
    try:
        return _range([measure(one, name) for one in results])
    except KeyError:
        return "fails"


def _range(values: list[float]) -> str:
    return f"{_short(float(np.median(values)))} ({_short(min(values))}–{_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def direct(results: list[Round]) -> str:
    values: dict[Load, list[float]] = defaultdict(list)
    for one in results:
        for kind in LOADS:
            values[kind].append(float(np.median(one["direct", kind].whole_ms)))
    shown = [f"{kind.clients} {'streams' if kind.stream else 'whole'} {_range(each)}" for kind, each in values.items()]
    return f"direct, p50 ms: {', '.join(shown)}; requests/s {_range([per_s(one, 'direct') for one in results])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateways", type=Path, required=True, help="the folder that install.sh prints")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.8, help="per gateway and load, in each round")
    parser.add_argument("--delay-ms", type=float, default=20.0, help="how long the upstream takes")
    options = parser.parse_args()
    began, busy = time.monotonic(), os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = Running(stack, folder, options.gateways, delay_ms=options.delay_ms, pieces=PIECES)
        gateways = [start(name) for name, start in running.gateways.items()]
        results = rounds([running.direct, *gateways], options.rounds, options.seconds)
    for title, columns in TABLES.items():
        print(table(title, columns, [each.name for each in gateways], results), end="\n\n")
    print(direct(results))
    print(f"machine load at the begin {busy:.1f}, {os.cpu_count()} cores, {time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
