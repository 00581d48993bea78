"""Train every learned policy with several seeds, and TRIM-Agg for single λ, over one step tree; a rerun goes on.

steproute compare then puts the folders into one table.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

import numpy as np

from steproute.artifacts import Artifact, write_artifact
from steproute.config import lab_roles
from steproute.engine.grade_book import GradeBook
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.learn.lab_fit import costs_for, fit_on_lab
from steproute.learn.networks import ARCHITECTURES
from steproute.learn.plan import plan
from steproute.learn.ppo import PpoSettings, train_network
from steproute.learn.rollouts import AnswerGrades
from steproute.policies.stored import AGG, network_artifact, pomdp_artifact
from steproute.policies.trim.pomdp_policy import PomdpFamily

_TREE_WIDTH = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--lambdas", type=int, default=8, help="networks for one λ each")
    parser.add_argument("--data", default="lab:train")
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    problems = load_problems(asked.data, asked.problems, 0)
    roles = lab_roles()
    with StepTree(asked.out / "tree.jsonl.zst", _TREE_WIDTH) as tree, GradeBook(roles.grading) as book:

        def learn(kind: str, settings: PpoSettings) -> Artifact:
            trained = train_network(
                ARCHITECTURES[kind],
                problems,
                tree.roles(roles),
                AnswerGrades(book),
                settings,
            )
            return network_artifact(
                kind, trained.family, {"data": asked.data, "seed": settings.seed, "rewards": trained.rewards}
            )

        jobs = [
            (f"{kind}-{seed}", kind, PpoSettings(passes=asked.passes, seed=seed))
            for kind in ARCHITECTURES
            for seed in range(asked.seeds)
        ]
        jobs += [
            (f"{AGG}-lam-{index}", AGG, PpoSettings(lam=(lam, lam), passes=asked.passes))
            for index, lam in enumerate(np.geomspace(2e-4, 1.6e-2, asked.lambdas).tolist())
        ]
        for name, kind, settings in jobs:
            if (asked.out / name / "policy.json").exists():
                continue
            began, cpu, before, wanted = time.monotonic(), time.process_time(), tree.computations, tree.requests
            write_artifact(learn(kind, settings), asked.out / name)
            calls = {"asked": tree.requests - wanted, "computed": tree.computations - before}
            taken = {"seconds": round(time.monotonic() - began), "cpu_seconds": round(time.process_time() - cpu)}
            print(json.dumps({"policy": name, **taken, **calls}), flush=True)
    for seed in range(asked.seeds):
        if (asked.out / f"pomdp-{seed}" / "policy.json").exists():
            continue
        began = time.monotonic()
        model = asyncio.run(fit_on_lab(roles, load_problems(asked.data, 2 * asked.problems, seed), seed))
        write_artifact(
            pomdp_artifact(PomdpFamily(plan(model, costs_for(model))), {"data": asked.data, "seed": seed}),
            asked.out / f"pomdp-{seed}",
        )
        print(json.dumps({"policy": f"pomdp-{seed}", "seconds": round(time.monotonic() - began)}), flush=True)


if __name__ == "__main__":
    main()
