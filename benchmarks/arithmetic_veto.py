"""The arithmetic veto beside recorded PRM scores: AUC of a solution's least score for its correctness.

    STEPROUTE_DATA=... python benchmarks/arithmetic_veto.py

Llama traces over MATH-500 with scores of RLHFlow/Llama3.1-8B-PRM-Deepseek-Data. A bootstrap over problems.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F64
from steproute.evaluation.auc import roc_auc
from steproute.evaluation.datasets import data_file, read_rows
from steproute.scorers.arithmetic import FALSE
from steproute.tools.arithmetic import is_false

TRACES = {
    "1B": ("llama3.2-1b_stepwise_n1", "llama3.2-1b_stepwise_n2"),
    "3B": ("llama3.2-3b_bon_n1", "llama3.2-3b_stepwise_n2"),
    "8B": ("llama3.1-8b_bon_n1", "llama3.1-8b_stepwise_n1", "llama3.1-8b_stepwise_n2"),
}
_RESAMPLES = 2_000


def main() -> None:
    """Print one line per model."""
    columns = "model|solutions|correct|flagged|of these incorrect|AUC of the PRM|with the veto|difference"
    print(f"|{columns}|\n" + "|---" * 8 + "|")
    for model, names in TRACES.items():
        print(f"| {model} {_line(names)}")


def _line(names: Sequence[str]) -> str:
    rows: list[Any] = [row for name in names for _, row in read_rows(_file(name))]
    correct = np.array([bool(row["correct"]) for row in rows])
    flags = [[is_false(text) is True for text in row["steps"]] for row in rows]
    prm = np.array([min(row["prm_scores"]) for row in rows], float)
    vetoed = np.array([min(map(_least, row["prm_scores"], each)) for row, each in zip(rows, flags, strict=True)])
    flagged = np.array([any(each) for each in flags])
    gain = roc_auc(vetoed, correct) - roc_auc(prm, correct)
    low, high, p = _paired(prm, vetoed, correct, np.array([row["problem_id"] for row in rows]))
    return (
        f"| {len(rows)} | {correct.mean():.3f} | {flagged.sum()} | {1 - correct[flagged].mean():.3f} | "
        f"{roc_auc(prm, correct):.4f} | {roc_auc(vetoed, correct):.4f} | "
        f"{gain:+.4f} [{low:+.4f}, {high:+.4f}], p = {p:.4f} |"
    )


def _file(name: str) -> Path:
    return data_file(f"traces_llama_math500/{name}_q500.jsonl.gz")


def _least(score: float, is_flagged: bool) -> float:
    """The ensemble of the PRM and the veto, `combine = "min"`."""
    return min(score, FALSE) if is_flagged else score


def _paired(prm: F64, vetoed: F64, correct: npt.NDArray[np.bool_], problems: npt.NDArray[np.str_]) -> tuple[float, ...]:
    """The middle 95 % of the differences on resampled problems, and their two-sided p-value."""
    rng = np.random.default_rng(0)
    _, groups = np.unique(problems, return_inverse=True)
    rows = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    gaps = []
    for _ in range(_RESAMPLES):
        each = np.concatenate([rows[group] for group in rng.integers(0, len(rows), len(rows))])
        gaps.append(roc_auc(vetoed[each], correct[each]) - roc_auc(prm[each], correct[each]))
    low, high = np.percentile(gaps, [2.5, 97.5])
    side = 1 + min((np.array(gaps) <= 0).sum(), (np.array(gaps) >= 0).sum())
    return float(low), float(high), min(1.0, 2 * side / (_RESAMPLES + 1))


if __name__ == "__main__":
    main()
