"""CPU time of the engine per step against that of another checkout, as a ratio.

Run in a checkout: python benchmarks/overhead_against.py ../other --rounds 9

Each checkout runs its own benchmarks/engine_overhead.py in a process that stays. The two are asked in turns, so both
share the machine's load. One JSON line per strategy.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import IO

HERE = Path(__file__).parents[1]
STRATEGIES = {
    "stepwise": "Stepwise(policy=Threshold(0.5))",
    "pipelined": "Pipelined(policy=Threshold(0.5))",
    "pipelined, hedge always": "Pipelined(policy=Threshold(0.5), hedge=1.01)",
}
WORKER = """
import sys
checkout, problems = sys.argv[1], int(sys.argv[2])
sys.path[:0] = [f"{checkout}/src", f"{checkout}/benchmarks"]
import engine_overhead
for line in sys.stdin:
    strategy = eval(line, vars(engine_overhead))
    print(engine_overhead.step_ms(strategy, problems, 64), flush=True)
"""


class Worker:
    """A checkout's process."""

    def __init__(self, checkout: Path, problems: int) -> None:
        command = [sys.executable, "-c", WORKER, str(checkout), str(problems)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step_ms(self, strategy: str) -> float:
        """CPU milliseconds per step."""
        asking, answering = _stream(self._process.stdin), _stream(self._process.stdout)
        asking.write(f"{strategy}\n")
        asking.flush()
        return float(answering.readline())

    def stop(self) -> None:
        _stream(self._process.stdin).close()
        self._process.wait()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--problems", type=int, default=150)
    options = parser.parse_args()
    here, other = (Worker(checkout.resolve(), options.problems) for checkout in (HERE, options.other))
    for name, strategy in STRATEGIES.items():
        rounds = []
        for number in range(options.rounds + 1):
            order = (here, other) if number % 2 == 0 else (other, here)
            times = {worker: worker.step_ms(strategy) for worker in order}
            rounds.append((times[here], times[other]))
        measured = rounds[1:]  # the first round warms up
        ratios = sorted(mine / theirs for mine, theirs in measured)
        row = {
            "strategy": name,
            "here_cpu_ms_per_step": round(statistics.median(mine for mine, _ in measured), 4),
            "other_cpu_ms_per_step": round(statistics.median(theirs for _, theirs in measured), 4),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        }
        print(json.dumps(row), flush=True)
    here.stop()
    other.stop()


if __name__ == "__main__":
    main()
