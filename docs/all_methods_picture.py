"""Draw docs/all-methods.png from the table in docs/explanation/all-methods.md, with the names of the table."""

import re
from pathlib import Path
from typing import Final

from steproute.evaluation.compare import Comparison, Pair, Row
from steproute.evaluation.forest import plot_comparison
from steproute.evaluation.judged_runs import Cost
from steproute.evaluation.resampling import Interval95

HERE: Final = Path(__file__).parent
AXES: Final[tuple[Cost, ...]] = ("usd", "tokens", "seconds")
FIRST: Final = "TRIM-Thr"
APGR: Final = re.compile(r"(\S+) \[(\S+), (\S+)\]")


def main() -> None:
    """Write the picture."""
    plot_comparison(comparison_in((HERE / "explanation/all-methods.md").read_text()), "", HERE / "all-methods.png")


def comparison_in(page: str) -> Comparison:
    """The APGRs of the page's first table, and which of them are ahead of the first policy's."""
    head = page.index("| method | APGR")
    lines = page[head:].partition("\n\n")[0].splitlines()[2:]
    cells = {row[0]: row for row in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}
    first = cells.pop(FIRST)
    names = (first, *cells.values())
    pairs = [_pair(row, index) for row in cells.values() for index in range(len(AXES))]
    return Comparison(
        name="all methods",
        data="lab:test",
        seed=0,
        problems=1000,
        resamples=5000,
        least_p=0.0,
        rows=[Row(name=row[0], metrics=_metrics(row), calls=0.0, calls_at=0.0) for row in names],
        pairs=pairs,
    )


def _metrics(row: list[str]) -> dict[Cost, dict[str, float | None | Interval95]]:
    metrics: dict[Cost, dict[str, float | None | Interval95]] = {}
    for axis, cell in zip(AXES, row[1:4], strict=True):
        match = APGR.fullmatch(cell)
        assert match is not None, cell
        value, low, high = map(float, match.groups())
        metrics[axis] = {"apgr": value, "apgr_ci95": (low, high)}
    return metrics


def _pair(row: list[str], index: int) -> Pair:
    match = re.fullmatch(r"([+−])(?:< )?(.+)", row[4].split(", ")[index])
    assert match is not None, row[4]
    sign, p = match.groups()
    return Pair(
        first=row[0],
        second=FIRST,
        axis=AXES[index],
        metric="apgr",
        difference=None,
        difference_ci95=None,
        better=row[0] if sign == "+" else FIRST,
        p=float(p),
        p_holm=float(p),
    )


if __name__ == "__main__":
    main()
