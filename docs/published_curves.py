"""Write docs/reference/published-curves.md: our metrics computed from the published TRIM curves."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Final

from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.datasets import data_file
from steproute.evaluation.metrics import METRICS, measure

CURVES: Final = {
    "TRIM-Thr": ("trim_thr_math500_qwen2.5-1.5b_7b", None),
    "TRIM-POMDP": ("trim_pomdp_math500_qwen2.5-1.5b_7b", "trim_thr_math500_qwen2.5-1.5b_7b"),
}
PAGE: Final = Path(__file__).parent / "reference/published-curves.md"
INTRO: Final = """# Our metrics on the published TRIM curves

`make published-curves` (`docs/published_curves.py`) writes this page from `trim_reference/published_curves.json` of the
data folder. The curves are from all 500 problems of MATH-500. As far as the data card can tell, the weak model is
Qwen2.5-1.5B and the strong model Qwen2.5-7B. Always-weak is the point at threshold 0, always-strong the one at
threshold 1. TRIM-POMDP's file has no such points and uses the same. The cost c is the strong model's generated tokens
as a share of always-strong's. There are no intervals, because the files do not hold results per problem.

"""
PAPER: Final = """
The paper (arXiv 2601.10245) reports MATH-500 with a different pair of models, Qwen2.5-3B and Claude 3.7 Sonnet:

| metric | TRIM-Thr | TRIM-Agg | TRIM-POMDP | best query-level baseline |
|---|---|---|---|---|
| CPT(95 %) | – | 17.21 % | 17.98 % | 53.96 % (AutoMix-PRM) |
| ΔIBC | 4.75 | 5.67 | 5.86 | 0.95 (AutoMix-PRM) |

Do not compare the two tables cell by cell, because two things differ:

- The pair of models is different, and so is its accuracy gap.
- The definition of ΔIBC is different. Ours is the mean over five cost regions of equal width, from always-weak to
  always-strong. With PGR ≤ 1 that mean cannot exceed 2.57 for any policy. So the paper's values come from another way
  of averaging, which the paper does not specify.

All curves that we measure ourselves use the same definition.
"""


def main() -> None:
    """Compute and write the page."""
    path = data_file("trim_reference/published_curves.json")
    columns = {name: measure(read_curve(path, curve, anchors_from=weak)) for name, (curve, weak) in CURVES.items()}
    head = ["| metric | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    known = [name for name in METRICS if not any(isnan(metrics[name]) for metrics in columns.values())]
    lines = head + [_row(name, columns) for name in known]
    PAGE.write_text(INTRO + "\n".join(lines) + "\n" + PAPER)


def _row(name: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    cells = (_text(metrics[name], is_share=METRICS[name].is_share) for metrics in columns.values())
    return f"| {METRICS[name].label} | {' | '.join(cells)} |"


def _text(value: float, *, is_share: bool) -> str:
    if value == float("inf"):
        return "not reached"
    return f"{100 * value:.2f} %" if is_share else f"{value:.3f}"


if __name__ == "__main__":
    main()
