"""A comparison of policies as tables for the terminal: few columns that fit 80 characters, or all of them."""

from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steproute.bench.bootstrap import METRICS
from steproute.bench.compare import COMPARED, Comparison, Pair
from steproute.bench.formatting import LABELS, metric, policy_label
from steproute.bench.summary import AXES, Axis, Summary
from steproute.cli.tables import print_result, print_whole

_AXES: Final[dict[Axis, str]] = {"tokens": "strong tokens", "usd": "dollars"}
_COLUMNS: Final = (15, 26, 10)


def print_comparison(console: Console, summary: Summary, comparison: Comparison, *, wide: bool = False) -> None:
    """The operating points of every policy, and how far each is ahead of the first; with `wide` every metric."""
    print_result(console, summary)
    if wide:
        print_whole(console, *(_metrics(comparison, axis) for axis in AXES), *(_pairs(comparison, a) for a in AXES))
        return
    for line in _leads(comparison):
        console.print(line, soft_wrap=True)


def _leads(comparison: Comparison) -> Iterator[Text]:
    """APGR, which weighs all budgets alike, of every policy minus that of the first."""
    first, *others = comparison.rows
    if not others:
        return
    yield Text()
    yield Text(f"APGR minus that of {policy_label(first.name, 'stepwise')}, over all budgets. APGR is the mean share")
    yield Text("of the gap that is recovered. p is for this one comparison.")
    yield Text(_line("by", "difference [95 %]", "p"), style="bold")
    for row in others:
        yield Text(policy_label(row.name, "stepwise"), style="bold")
        for axis in AXES:
            pair = comparison.pair(row.name, first.name, "apgr", axis)
            yield Text(_line(_AXES[axis], _difference(pair), _p(pair)))


def _metrics(comparison: Comparison, axis: Axis) -> Table:
    """One row per policy, every metric by one kind of cost."""
    table = Table(title=f"{comparison.problems} problems of {comparison.data}, by {_AXES[axis]}", box=box.SIMPLE_HEAD)
    for column in ("policy", *(LABELS[name] for name in METRICS), "calls"):
        table.add_column(column, no_wrap=True)
    for row in comparison.rows:
        cells = (metric(row.metrics[axis], name) for name in METRICS)
        table.add_row(policy_label(row.name, "stepwise"), *cells, f"{row.calls:.1f}")
    return table


def _pairs(comparison: Comparison, axis: Axis) -> Table:
    """One row per policy, its lead over the first in every metric that is compared."""
    first = comparison.rows[0].name
    table = Table(title=f"minus {policy_label(first, 'stepwise')}, by {_AXES[axis]}", box=box.SIMPLE_HEAD)
    for column in ("policy", *(LABELS[name] for name in COMPARED)):
        table.add_column(column, no_wrap=True)
    for row in comparison.rows[1:]:
        pairs = [comparison.pair(row.name, first, name, axis) for name in COMPARED]
        table.add_row(policy_label(row.name, "stepwise"), *(f"{_difference(each)} p {_p(each)}" for each in pairs))
    return table


def _difference(pair: Pair) -> str:
    if pair.difference_ci95 is None:
        return "–"
    low, high = ("∞" if end is None else f"{end:+.3f}" for end in pair.difference_ci95)
    return f"{'–' if pair.difference is None else f'{pair.difference:+.3f}'} [{low}, {high}]"


def _p(pair: Pair) -> str:
    return "–" if pair.p is None else f"{pair.p:.3f}"


def _line(*cells: str) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
