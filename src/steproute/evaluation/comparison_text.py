"""How one policy differs from another, in words and figures, in the terminal as in the report."""

from collections.abc import Mapping, Sequence
from typing import Final

from steproute.evaluation.compare import Comparison, Pair
from steproute.evaluation.judged_runs import Cost

SIGNIFICANT: Final = 0.05
AXIS_LABELS: Final[Mapping[Cost, str]] = {"usd": "dollars", "tokens": "strong tokens", "seconds": "seconds"}


def what_p_covers(comparison: Comparison) -> str:
    """What the p-values are chances of, and for how many comparisons they are corrected."""
    count = sum(each.p_holm is not None for each in comparison.pairs if each.axis == "tokens")
    return (
        f"p: chance of such a difference between equal policies, over the draw of {comparison.problems} problems "
        f"alone, corrected (Holm) for all {count} differences from the first policy by one kind of cost, those of "
        f"--wide included. Intervals are not corrected. Ahead or behind: p is at most {SIGNIFICANT:g}, else level."
    )


def compared_axes(comparison: Comparison) -> Sequence[Cost]:
    """The kinds of cost that it compares by, dollars first."""
    return [axis for axis in AXIS_LABELS if axis in comparison.rows[0].metrics]


def difference_text(pair: Pair) -> str:
    """The difference with its interval; in words if only one of the two has a value."""
    if pair.p is None or pair.difference_ci95 is None:
        return "–"
    if pair.difference is None:
        return "not reached" if pair.better == pair.second else "reached by it alone"
    low, high = pair.difference_ci95
    ends = f"[{'-∞' if low is None else f'{low:+.3f}'}, {'+∞' if high is None else f'{high:+.3f}'}]"
    return f"{pair.difference:+.3f} {ends}"


def standing(pair: Pair) -> str:
    """Whether the first of the two is ahead or behind by the corrected p-value; `level` if that is not significant."""
    if pair.p is None or pair.p_holm is None:
        return "–"
    if pair.better is None or pair.p_holm > SIGNIFICANT:
        return "level"
    return "ahead" if pair.better == pair.first else "behind"


def p_text(pair: Pair, least: float) -> str:
    """The corrected p-value; a bound if it is below what the resamples can show."""
    if pair.p is None or pair.p_holm is None:
        return "–"
    at_floor = pair.p <= least * 1.001
    return f"{'< ' if at_floor else ''}{pair.p_holm:.{3 if pair.p_holm >= 0.001 else 4}f}"
