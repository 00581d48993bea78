"""A comparison of policies as tables for the terminal: few columns that fit 80 characters, or all of them."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from steproute.bench.bootstrap import METRICS
from steproute.bench.compare import COMPARED, Comparison, Pair
from steproute.bench.differences import LOWER_IS_BETTER
from steproute.bench.formatting import LABELS, METRICS_EXPLAINED, metric, policy_label
from steproute.bench.summary import AXES, Axis, Summary
from steproute.cli.tables import lines_of, print_result, print_whole
from steproute.cli.terminal import Terminal

_AXES: Final[dict[Axis, str]] = {"tokens": "strong tokens", "usd": "dollars"}
_COLUMNS: Final = (15, 26, 8, 10)


def print_comparison(console: Terminal, summary: Summary, comparison: Comparison, *, wide: bool = False) -> None:
    """The operating points of every policy, and how far each is ahead of the first; with `wide` every metric."""
    print_result(console, summary)
    if wide:
        tables = (_metrics(comparison, axis) for axis in AXES)
        print_whole(console, *tables, *(difference_table(comparison, a) for a in AXES))
        return
    for line in _leads(comparison):
        console.print(line, soft_wrap=True)


def difference_table(comparison: Comparison, axis: Axis = "tokens") -> Table:
    """How every policy differs from the first one in every metric that is compared."""
    first = comparison.rows[0].name
    table = Table(
        title=f"compared with {policy_label(first, 'stepwise')}, by {_AXES[axis]}: difference [95 %], who is ahead, p",
        caption=f"↑ higher is better, ↓ lower is better · {_what_p_covers(comparison)}",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("policy", no_wrap=True)
    for column in COMPARED:
        table.add_column(f"{LABELS[column]} {'↓' if column in LOWER_IS_BETTER else '↑'}", no_wrap=True)
    for row in comparison.rows[1:]:
        pairs = [comparison.pair(row.name, first, column, axis) for column in COMPARED]
        table.add_row(policy_label(row.name, "stepwise"), *(_cell(each, comparison.least_p) for each in pairs))
    return table


def _leads(comparison: Comparison) -> Iterator[Text]:
    """APGR, which weighs all budgets alike, of every policy minus that of the first."""
    first, *others = comparison.rows
    if not others:
        return
    yield Text()
    yield Text(f"APGR minus that of {policy_label(first.name, 'stepwise')}, over all budgets. APGR is the mean share")
    yield Text("of the gap that is recovered.")
    yield Text(_line("by", "difference [95 %]", "", "p"), style="bold")
    for row in others:
        yield Text(policy_label(row.name, "stepwise"), style="bold")
        for axis in AXES:
            pair = comparison.pair(row.name, first.name, "apgr", axis)
            yield Text(_line(_AXES[axis], _difference(pair), _standing(pair), _p(pair, comparison.least_p)))
    for line in wrap(_what_p_covers(comparison), sum(_COLUMNS)):
        yield Text(line, style="dim")


def _what_p_covers(comparison: Comparison) -> str:
    """What the p-values are chances of, and for how many comparisons they are corrected."""
    count = sum(each.p_holm is not None for each in comparison.pairs if each.axis == "tokens")
    return (
        f"p: chance of such a difference between equal policies, over the draw of {comparison.problems} problems "
        f"alone, corrected for all {count} differences from the first policy."
    )


def _metrics(comparison: Comparison, axis: Axis) -> Table:
    """One row per policy, every metric by one kind of cost."""
    title = f"{comparison.problems} problems of {comparison.data}, by {_AXES[axis]}"
    caption = lines_of(f"{METRICS_EXPLAINED} calls: of models and scorers, per problem.")
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD)
    for column in ("policy", *(LABELS[name] for name in METRICS), "calls"):
        table.add_column(column, no_wrap=True)
    for row in comparison.rows:
        cells = (metric(row.metrics[axis], name) for name in METRICS)
        table.add_row(policy_label(row.name, "stepwise"), *cells, f"{row.calls:.1f}")
    return table


def _cell(pair: Pair, least: float) -> str:
    if pair.p is None:
        return "–"
    return f"{_difference(pair)}\n{_standing(pair)}, p {_p(pair, least)}"


def _difference(pair: Pair) -> str:
    if pair.p is None or pair.difference_ci95 is None:
        return "–"
    if pair.difference is None:
        return "not reached" if _standing(pair) == "behind" else "reached by it alone"
    low, high = pair.difference_ci95
    ends = f"[{'-∞' if low is None else f'{low:+.3f}'}, {'+∞' if high is None else f'{high:+.3f}'}]"
    return f"{pair.difference:+.3f} {ends}"


def _standing(pair: Pair) -> str:
    if pair.p is None:
        return "–"
    return {pair.first: "ahead", pair.second: "behind", None: "level"}[pair.better]


def _p(pair: Pair, least: float) -> str:
    """The corrected p-value; below what the resamples can tell, a bound."""
    if pair.p is None or pair.p_holm is None:
        return "–"
    at_floor = pair.p <= least * 1.001
    return f"{'< ' if at_floor else ''}{pair.p_holm:.{3 if pair.p_holm >= 0.001 else 4}f}"


def _line(*cells: str) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
