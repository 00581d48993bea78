"""How well a calibrated budget is kept on test problems, and where they turn from easy to hard half way.

For each policy folder made by `steproute calibrate`: strong tokens (or dollars) a problem over the budget, minus one,
for the fixed mix and for the controller that follows the costs as they come. The controller calls the models anew each
time: answers that came at once from a tree would be another stream than a user's.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import numpy as np

from steproute.config import build_strategy, lab_roles
from steproute.core.trace import Trace
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.learn.rollouts import solve_all
from steproute.policies.mixture import MixtureFamily
from steproute.policies.stored import load_policy

_WIDTH = 2**32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    half = asked.problems // 2
    test = load_problems("lab:test", asked.problems, 0)
    streams = {
        "test": test,
        "easy then hard": [*load_problems("lab:test/easy", half, 0), *load_problems("lab:test/hard", half, 0)],
    }
    with tempfile.TemporaryDirectory() as folder, StepTree(Path(folder) / "tree", _WIDTH) as tree:
        casts = {"stepwise": tree.roles(lab_roles()), "budgeted": lab_roles()}
        for path in asked.folders:
            family = load_policy(path)
            assert isinstance(family, MixtureFamily)
            for name, problems in streams.items():
                for strategy, roles in casts.items():
                    errors, right = [], []
                    for seed in range(asked.seeds):
                        solver = build_strategy(strategy, family.at(family.goal, seed))
                        traces = asyncio.run(solve_all(problems, roles, solver, seed))
                        costs = [_cost(family, trace) for trace in traces]
                        errors.append(float(np.mean(costs)) / family.cost - 1)
                        right.append(np.mean([t.answer == p.answer for p, t in zip(problems, traces, strict=True)]))
                    print(
                        json.dumps(
                            {
                                "policy": str(path.name),
                                "stream": name,
                                "strategy": strategy,
                                "budget": round(family.cost, 6),
                                "errors": [round(error, 4) for error in errors],
                                "median_absolute_error": round(float(np.median(np.abs(errors))), 4),
                                "accuracy": round(float(np.mean(right)), 4),
                            }
                        ),
                        flush=True,
                    )


def _cost(family: MixtureFamily, trace: Trace) -> float:
    return float(trace.cost_usd) if family.curve.axis == "usd" else trace.generated_tokens("strong")


if __name__ == "__main__":
    main()
