"""A comparison of policies as tables for the terminal: few columns that fit 80 characters, or all of them."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from steproute.cli.tables import lines_of, print_contents, print_result, print_whole
from steproute.cli.terminal import Terminal
from steproute.evaluation.compare import COMPARED, Comparison, Pair
from steproute.evaluation.comparison_text import (
    AXIS_LABELS,
    compared_axes,
    difference_text,
    p_text,
    standing,
    what_p_covers,
)
from steproute.evaluation.formatting import METRICS_EXPLAINED, metric, policy_label
from steproute.evaluation.judged_runs import Cost
from steproute.evaluation.metrics import METRICS
from steproute.evaluation.summary import Summary

_COLUMNS: Final = (15, 26, 8, 10)
_SECONDS_EXPLAINED: Final = (
    "seconds: median per problem at the cheapest knob that recovers 90 % of the gap, each problem alone on the "
    "simulated deployment."
)


def print_comparison(console: Terminal, summary: Summary, comparison: Comparison, *, wide: bool = False) -> None:
    """The operating points of every policy, and how far each is ahead of the first; with `wide` every metric."""
    print_result(console, summary)
    shown = compared_axes(comparison)
    if wide:
        tables = (_metrics(comparison, summary.strategy, axis) for axis in shown)
        print_whole(console, *tables, *(difference_table(comparison, summary.strategy, axis) for axis in shown))
    else:
        for line in _leads(comparison, summary.strategy, shown):
            console.print(line, soft_wrap=True)
    print_contents(console, summary)


def difference_table(comparison: Comparison, strategy: str, axis: Cost = "tokens") -> Table:
    """How every policy differs from the first one in every metric that is compared.

    strategy: of the policies whose names have none.
    """
    first = comparison.rows[0].name
    label = policy_label(first, strategy)
    table = Table(
        title=f"compared with {label}, by {AXIS_LABELS[axis]}: difference [95 %], who is ahead, p",
        caption=f"↑ higher is better, ↓ lower is better · {what_p_covers(comparison)}",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("policy", no_wrap=True)
    for column in (METRICS[name] for name in COMPARED):
        table.add_column(f"{column.label} {'↓' if column.lower_is_better else '↑'}", no_wrap=True)
    for row in comparison.rows[1:]:
        pairs = [comparison.pair(row.name, first, column, axis) for column in COMPARED]
        table.add_row(policy_label(row.name, strategy), *(_cell(each, comparison.least_p) for each in pairs))
    return table


def _leads(comparison: Comparison, strategy: str, shown: Sequence[Cost]) -> Iterator[Text]:
    """The APGR, which weights all budgets equally, of every policy minus that of the first."""
    first, *others = comparison.rows
    if not others or not shown:
        return
    yield Text()
    yield Text(f"APGR minus that of {policy_label(first.name, strategy)}, over all budgets. APGR is the mean share")
    yield Text("of the gap that is recovered.")
    yield Text(_line("by", "difference [95 %]", "", "p"), style="bold")
    for row in others:
        yield Text(policy_label(row.name, strategy), style="bold")
        for axis in shown:
            pair = comparison.pair(row.name, first.name, "apgr", axis)
            yield Text(
                _line(AXIS_LABELS[axis], difference_text(pair), standing(pair), p_text(pair, comparison.least_p))
            )
    for line in wrap(what_p_covers(comparison), sum(_COLUMNS)):
        yield Text(line, style="dim")


def _metrics(comparison: Comparison, strategy: str, axis: Cost) -> Table:
    """One row per policy, every metric by one kind of cost."""
    title = f"{comparison.problems} problems of {comparison.data}, by {AXIS_LABELS[axis]}"
    caption = lines_of(f"{METRICS_EXPLAINED} calls: of models and scorers, per problem. {_SECONDS_EXPLAINED}")
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD)
    for column in ("policy", *(each.label for each in METRICS.values()), "calls", "seconds"):
        table.add_column(column, no_wrap=True)
    for row in comparison.rows:
        cells = (metric(row.metrics[axis], name) for name in METRICS)
        seconds = "–" if row.seconds is None else f"{row.seconds:.2f}"
        table.add_row(policy_label(row.name, strategy), *cells, f"{row.calls:.1f}", seconds)
    return table


def _cell(pair: Pair, least: float) -> str:
    if pair.p is None:
        return "–"
    return f"{difference_text(pair)}\n{standing(pair)}, p {p_text(pair, least)}"


def _line(*cells: str) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
