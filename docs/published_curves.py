"""Write docs/reference/published-curves.md: our metrics computed from the published TRIM curves."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.datasets import data_file
from steproute.evaluation.metrics import Metrics, measure

CURVES: Final = {
    "TRIM-Thr": ("trim_thr_math500_qwen2.5-1.5b_7b", None),
    "TRIM-POMDP": ("trim_pomdp_math500_qwen2.5-1.5b_7b", "trim_thr_math500_qwen2.5-1.5b_7b"),
}
PAGE: Final = Path(__file__).parent / "reference/published-curves.md"
INTRO: Final = """# Our metrics on the published TRIM curves

`make published-curves` (`docs/published_curves.py`) writes this page from `trim_reference/published_curves.json` of the
data folder. The curves are from all 500 problems of MATH-500. As far as the data card can tell, the weak model is
Qwen2.5-1.5B and the strong model Qwen2.5-7B. Always-weak is the point at threshold 0, always-strong the one at
threshold 1. TRIM-POMDP's file has no such points and uses the same. Cost is the strong model's generated tokens as a
share of always-strong's. There are no intervals, because the files do not hold results per problem.

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
    lines = ["| metric | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for label, show in ROWS:
        lines.append(f"| {label} | " + " | ".join(show(metrics) for metrics in columns.values()) + " |")
    PAGE.write_text(INTRO + "\n".join(lines) + "\n" + PAPER)


def _share(value: float) -> str:
    return "not reached" if value == float("inf") else f"{100 * value:.2f} %"


ROWS: Final[list[tuple[str, Callable[[Metrics], str]]]] = [
    ("CPT(50 %)", lambda m: _share(m.cpt50)),
    ("CPT(80 %)", lambda m: _share(m.cpt80)),
    ("CPT(95 %)", lambda m: _share(m.cpt95)),
    ("APGR", lambda m: f"{m.apgr:.3f}"),
    ("ΔIBC", lambda m: f"{m.delta_ibc:.3f}"),
    ("accuracy at 10 % of strong tokens", lambda m: _share(m.accuracy_at_10)),
    ("accuracy at 20 % of strong tokens", lambda m: _share(m.accuracy_at_20)),
    ("accuracy at 30 % of strong tokens", lambda m: _share(m.accuracy_at_30)),
]

if __name__ == "__main__":
    main()
