"""The Lagrangian assignment against the exact one: what it loses in points of accuracy, and seconds.

Costs are whole units from 1 to 60, 10 routes; the budget is a share of the way from the cheapest to the dearest routes.
"""

import argparse
import json
import time

import numpy as np

from steproute.evaluation.knapsack import assign, exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    cost = rng.integers(1, 60, (options.problems, 10))
    right = np.clip(0.4 + 0.006 * cost + rng.normal(0, 0.15, cost.shape), 0, 1)
    least, most = int(cost.min(axis=1).sum()), int(cost.max(axis=1).sum())
    for share in (0.02, 0.05, 0.1, 0.2, 0.4):
        budget = least + int(share * (most - least))
        began = time.perf_counter()
        found = assign(right, cost.astype(float), budget)
        middle = time.perf_counter()
        best = exact(right, cost, budget)
        row = {
            "share": share,
            "budget": budget,
            "accuracy": round(100 * found.right / options.problems, 4),
            "exact_accuracy": round(100 * best.right / options.problems, 4),
            "lost_points": round(100 * (best.right - found.right) / options.problems, 5),
            "seconds": round(middle - began, 4),
            "exact_seconds": round(time.perf_counter() - middle, 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
