"""CPU time of the planner on the authors' parameters against that of another checkout, as a ratio.

Run in a checkout: python benchmarks/plan_against.py ../other --rounds 7

Each round plans the table once by each checkout, in a new process and in turns, so that both share the machine's load.
One JSON line per round, then one with the median ratio and whether both plans are equal bit for bit.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
COSTS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
ONE_PLAN = """
import hashlib, json, sys, time
from steproute.learn.plan import plan
from steproute.learn.pomdp_reference import embedded_reference

points, *costs = json.loads(sys.argv[1])
model = embedded_reference()
plan(model, costs[:1], points=11)
began = time.process_time()
made = plan(model, costs, points=points)
seconds = time.process_time() - began
print(json.dumps([seconds, hashlib.sha256(made.upper.tobytes() + made.alphas.tobytes()).hexdigest()]))
"""


def one_plan(checkout: Path, points: int, costs: tuple[float, ...]) -> tuple[float, str]:
    """CPU seconds and the digest of the plan by the code of a checkout."""
    command = [sys.executable, "-c", ONE_PLAN, json.dumps([points, *costs])]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, digest = json.loads(result.stdout)
    return seconds, digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points", type=int, default=401)
    parser.add_argument("--costs", type=int, default=len(COSTS), help="how many of the reference's eight")
    options = parser.parse_args()
    checkouts = {"here": HERE, "other": options.other.resolve()}
    ratios, digests = [], set()
    for number in range(options.rounds):
        order = sorted(checkouts, reverse=number % 2 == 1)
        plans = {name: one_plan(checkouts[name], options.points, COSTS[: options.costs]) for name in order}
        ratios.append(plans["here"][0] / plans["other"][0])
        digests |= {digest for _, digest in plans.values()}
        row = {f"{name}_cpu_s": round(seconds, 3) for name, (seconds, _) in plans.items()}
        print(json.dumps({**row, "ratio": round(ratios[-1], 3)}))
    print(json.dumps({"median_ratio": round(statistics.median(ratios), 3), "equal": len(digests) == 1}))


if __name__ == "__main__":
    main()
