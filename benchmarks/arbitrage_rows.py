"""Arbitrage's predictor on the lab: ρ, accuracies and AUC per label, balanced or not, with authors or not.

python benchmarks/arbitrage_rows.py --problems 300 --label rollouts
"""

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from steproute.cli.training_tree import WIDE
from steproute.config import lab_roles
from steproute.engine.grade_book import GradeBook
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.learn.advantage import AdvantageFigures, fit_advantage
from steproute.learn.advantage_rows import AdvantageRow, Label, PairWalk
from steproute.learn.rollouts import AnswerGrades, solve_all

VARIANTS = {
    "balanced, annotated": {},
    "all rows": {"balanced": False},
    "without authors": {"annotated": False},
    "without log-probabilities": {"confident": False},
}


def rows_of(problems: int, label: Label, tree: Path) -> list[AdvantageRow]:
    chosen = load_problems("lab:train", problems, 0)
    names, roles = [problem.id for problem in chosen], lab_roles()
    with StepTree(tree, WIDE) as grown, GradeBook(roles.grading) as book:
        walk = PairWalk(
            label=label,
            grade=AnswerGrades(book),
            oracle=frozenset(names[::2]),
            held_out=frozenset(names[::5]),
            checks=True,
        )
        asyncio.run(solve_all(chosen, grown.roles(roles), walk))
    return [row for rows in walk.rows.values() for row in rows]


def mean(figures: list[AdvantageFigures]) -> dict[str, float]:
    """Over the draws of the balanced rows."""
    tables = [asdict(each) for each in figures]
    known = {name: [table[name] for table in tables] for name in tables[0] if tables[0][name] is not None}
    return {name: round(float(np.mean(values)), 3) for name, values in known.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--label", default="rollouts")
    parser.add_argument("--margin", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tree", type=Path, default=Path("runs/tree-wide.jsonl.zst"))
    options = parser.parse_args()
    rows = rows_of(options.problems, options.label, options.tree)
    for name, variant in VARIANTS.items():
        figures = [
            fit_advantage(rows, options.label, options.margin, seed, **variant)[1] for seed in range(options.seeds)
        ]
        print(json.dumps({"label": options.label, "inputs": name, **mean(figures)}), flush=True)


if __name__ == "__main__":
    main()
