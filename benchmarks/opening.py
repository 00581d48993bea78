"""How long it takes to open a trace file to resume a run, and how much memory: `python benchmarks/opening.py`.

Each size is opened by a process of its own. The traces are made up, of eight steps and twenty calls each, about as long
as those of the lab.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from steproute import AccountLine, Outcome, Purpose, Step, Usage
from steproute.core.trace import Trace
from steproute.engine.trace_file import TraceFile


def trace(number: int, rng: random.Random) -> Trace:
    """One solved problem."""
    text = "Then {} has {} - {} = {} coins, which is {} fewer than before."
    steps = tuple(
        Step(role="weak", text=text.format(*(rng.randrange(99) for _ in range(5))), tokens=12, score=rng.random())
        for _ in range(8)
    )
    lines = tuple(
        AccountLine(
            role=rng.choice(("weak", "strong", "prm")),
            model="lab",
            purpose=rng.choice(list(Purpose)),
            usage=Usage(input_tokens=rng.randrange(900), output_tokens=rng.randrange(20)),
            cost_usd=Decimal(rng.randrange(10**6)) / 10**12,
            price_table="lab",
            latency_s=rng.random(),
        )
        for _ in range(20)
    )
    return Trace(
        problem_id=f"lab/test/{number // 29}",
        route=f"stepwise/threshold={number % 29}",
        steps=steps,
        answer="7",
        outcome=Outcome.ANSWERED,
        account=lines,
        latency_s=rng.random(),
        seed=0,
    )


def write(path: Path, count: int) -> None:
    """A file of so many traces."""
    rng = random.Random(0)
    with TraceFile(path) as file:
        for number in range(count):
            file.append(trace(number, rng))


def opened(path: Path) -> dict[str, float]:
    """CPU seconds and the growth of the greatest memory, of this process."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with TraceFile(path) as file:
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"traces": len(file), "cpu_s": seconds, "peak_mib": (peak - before) / 1024}


def main() -> None:
    """Print a table with a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.open is not None:
        print(json.dumps(opened(asked.open)))
        return
    print(f"{'traces':>9} {'MB':>7} {'CPU s':>7} {'µs per trace':>13} {'MiB':>7} {'bytes per trace':>16}")
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "traces.jsonl.zst"
            write(path, size)
            words = [sys.executable, __file__, "--open", str(path)]
            row = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
            megabytes, seconds, peak = path.stat().st_size / 1e6, row["cpu_s"], row["peak_mib"]
        each = f"{1e6 * seconds / size:13.1f} {peak:7.1f} {peak * 2**20 / size:16.0f}"
        print(f"{row['traces']:9d} {megabytes:7.1f} {seconds:7.2f} {each}", flush=True)


if __name__ == "__main__":
    main()
