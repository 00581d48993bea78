"""Arbitrage's text router on the lab: fine-tune an exported tiny model for a minute, measure its AUC for savable steps.

python benchmarks/text_router.py --problems 600

As in the paper, it starts from a process reward model. `--model lab-strong` starts from a language model instead.
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from steproute.cli.training_tree import WIDE
from steproute.config import lab_roles
from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.core.trace import Trace
from steproute.engine.step_tree import StepTree
from steproute.evaluation.auc import roc_auc
from steproute.evaluation.datasets import load_problems
from steproute.lab.hugging_face import export_for_servers
from steproute.learn.advantage_rows import AdvantageRow, PairWalk
from steproute.learn.rollouts import solve_all
from steproute.learn.text_router import RouterTuning, drafted, tune_router
from steproute.scorers.transformers_prm import TransformersPrm, TransformersPrmSettings

BASE = "lab-prm-place"
EPOCHS = 1
TRAINED = ("self_attn", "down_proj", "norm", "embed", "score")  # the exported gates are too steep to be trained


def router_settings(folder: Path) -> TransformersPrmSettings:
    """Settings of the router in a folder."""
    return TransformersPrmSettings(
        model=str(folder), head="router", text="{problem}\n\n{steps}", marker="\n\n", dtype="float32"
    )


async def _ungraded(problem: Problem, trace: Trace) -> bool:
    raise AssertionError("the checker's label grades no answer")


def lab_rows(problems: int, tree: Path) -> list[AdvantageRow]:
    """Rows of training problems; every fifth problem is held out."""
    chosen = load_problems("lab:train", problems, 0)
    names = [problem.id for problem in chosen]
    walk = PairWalk(label="checker", grade=_ungraded, oracle=frozenset(names[::2]), held_out=(), checks=True)
    with StepTree(tree, WIDE) as grown:
        asyncio.run(solve_all(chosen, grown.roles(lab_roles()), walk))
    out = set(names[::5])
    return [replace(row, held_out=row.problem_id in out) for rows in walk.rows.values() for row in rows]


def auc_of(folder: Path, rows: list[AdvantageRow]) -> float:
    """Of 1 − score for savable steps, on held-out rows."""
    held = [row for row in rows if row.held_out]
    scorer = TransformersPrm("router", router_settings(folder))

    async def doubt(prefix: Prefix) -> float:
        return 1 - (await scorer.score(prefix)).values[-1]

    async def all_doubts() -> list[float]:
        return list(await asyncio.gather(*(doubt(drafted(row)) for row in held)))

    return roc_auc(asyncio.run(all_doubts()), [bool(row.savable) for row in held])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--model", default=BASE)
    parser.add_argument("--tree", type=Path, default=Path("runs/tree-wide.jsonl.zst"))
    options = parser.parse_args()
    rows = lab_rows(options.problems, options.tree)
    with tempfile.TemporaryDirectory() as name:
        base, router = Path(name) / "base", Path(name) / "router"
        export_for_servers(options.model, base)
        tuning = RouterTuning(epochs=options.epochs, batch=32, learning_rate=1e-3, trained=TRAINED)
        began = time.process_time()
        tune_router(rows, "checker", router_settings(base), router, tuning=tuning)
        print(
            f"{len(rows)} rows, {options.epochs} epochs in {time.process_time() - began:.0f} s of CPU time: AUC for "
            f"savable steps {auc_of(router, rows):.3f} on held-out problems"
        )


if __name__ == "__main__":
    main()
