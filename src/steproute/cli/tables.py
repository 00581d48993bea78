"""A summary as tables for the terminal: few columns that fit 80 characters, or all of them."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from steproute.bench.bootstrap import METRICS
from steproute.bench.formatting import (
    LABELS,
    METRICS_EXPLAINED,
    dollars,
    metric,
    percent,
    percent_interval,
    published_metric,
)
from steproute.bench.headline import headlines, how_to_read, swept
from steproute.bench.operating_points import OperatingPoint
from steproute.bench.summary import Point, Summary
from steproute.cli.terminal import Terminal

_COLUMNS: Final = (15, 10, 24, 24)
_NO_LIMIT: Final = 10_000
_CAPTION_WIDTH: Final = 76


def print_summary(console: Terminal, summary: Summary, *, wide: bool = False) -> None:
    """The result in words, what each share of the gap costs, and the policy's knobs; with `wide` all columns."""
    print_result(console, summary)
    tables = (wide_points(summary), wide_metrics(summary)) if wide else (points_table(summary),)
    print_whole(console, *tables)
    console.print(_remarks(summary))


def print_result(console: Terminal, summary: Summary) -> None:
    """Headlines first, then the operating points of every policy."""
    first, *others = headlines(summary)
    console.print(first, style="bold", highlight=False, markup=False)
    for line in (*others, *_operating_points(summary)):
        console.print(line, highlight=False, markup=False, soft_wrap=isinstance(line, Text))
    console.print(how_to_read(summary), style="dim", highlight=False)


def print_whole(console: Terminal, *tables: Table) -> None:
    """Print tables without cutting a column off: `console` becomes as wide as they are, and a terminal wraps lines."""
    for table in tables:
        needed = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), table).maximum
        console.width = max(console.width, needed)
        console.print(table, soft_wrap=True)


def lines_of(caption: str) -> str:
    """A caption in lines, since a table becomes as wide as its caption's longest one."""
    return "\n".join(wrap(caption, _CAPTION_WIDTH))


def points_table(summary: Summary) -> Table:
    """One row per knob between the anchors, 80 characters wide."""
    table = Table(title=_title(summary), caption=lines_of(_CAPTION), box=box.SIMPLE_HEAD)
    table.add_column("knob", no_wrap=True)
    for column in ("accuracy", "gap", "tokens", "dollars", "$/1000"):
        table.add_column(column, justify="right", no_wrap=True)
    for label, point in _rows(summary):
        cells = (percent(point.accuracy), _recovered(summary, point), *_shares(summary, point))
        table.add_row(label, *cells, dollars(1000 * point.cost_usd), style=_style(point))
    return table


def wide_points(summary: Summary) -> Table:
    """One row per knob with intervals, every kind of token, calls and seconds."""
    table = Table(title=_title(summary), box=box.SIMPLE_HEAD)
    table.caption = lines_of(f"{_CAPTION} The other figures are means per problem.")
    table.add_column("knob", no_wrap=True)
    for column in (*_WIDE, "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for label, point in _rows(summary):
        table.add_row(label, *_wide_cells(summary, point), style=_style(point))
    return table


def wide_metrics(summary: Summary) -> Table:
    """Every metric with its interval, one row per policy."""
    table = Table(title="metrics by strong tokens [95 %]", caption=lines_of(METRICS_EXPLAINED), box=box.SIMPLE_HEAD)
    for column in ("policy", *(LABELS[name] for name in METRICS)):
        table.add_column(column, no_wrap=True)
    series = [summary.metrics, *(each.metrics for each in summary.baselines)]
    for policy, metrics in zip(swept(summary), series, strict=True):
        table.add_row(policy.label, *(metric(metrics, name) for name in METRICS))
    for curve in summary.published:
        table.add_row(f"published {curve.name}", *(published_metric(curve.metrics, name) for name in METRICS))
    return table


_CAPTION: Final = (
    "knob: the policy's setting. gap: share of the accuracy gap between weak and strong that is recovered. "
    "tokens, dollars: share of what the strong model alone spends. $/1000: dollars per 1000 problems."
)
_WIDE: Final = (
    *("accuracy [95 %]", "gap", "tokens", "dollars", "$/1000"),
    *("strong", "weak", "discarded", "PRM read", "calls"),
)


def _title(summary: Summary) -> str:
    return f"{summary.problems} problems of {summary.data}, seed {summary.seed}"


def _rows(summary: Summary) -> list[tuple[str, Point]]:
    rows = [(f"{point.knob:g}", point) for point in summary.points]
    return [("always weak", summary.weak), *rows, ("always strong", summary.strong)]


def _style(point: Point) -> str:
    return "dim" if point.knob is None else ""


def _recovered(summary: Summary, point: Point) -> str:
    gap = summary.strong.accuracy - summary.weak.accuracy
    return percent((point.accuracy - summary.weak.accuracy) / gap) if gap > 0 else "–"


def _shares(summary: Summary, point: Point) -> tuple[str, str]:
    priced = summary.strong.cost_usd > 0
    return percent(point.strong_share), percent(point.cost_usd / summary.strong.cost_usd) if priced else "–"


def _wide_cells(summary: Summary, point: Point) -> tuple[str, ...]:
    tokens = (point.strong_tokens, point.weak_tokens, point.discarded_tokens, point.prm_tokens, point.calls)
    return (
        percent_interval(point.accuracy, point.accuracy_ci95),
        _recovered(summary, point),
        *_shares(summary, point),
        dollars(1000 * point.cost_usd),
        *(f"{value:.1f}" for value in tokens),
        f"{point.latency_s:.2f}",
    )


def _operating_points(summary: Summary) -> Iterator[Text]:
    """A block of lines per policy under its name, which may be as long as it likes."""
    if not summary.operating_points:
        return
    yield Text()
    yield _line("gap recovered", "accuracy", "strong tokens [95 %]", "dollars [95 %]", style="bold")
    for policy in swept(summary):
        yield Text(policy.label, style="bold")
        if policy.single_model:
            point = policy.points[0]
            yield _line("–", percent(point.accuracy), *_shares(summary, point))
        else:
            yield from (_line(*_operating_cells(point)) for point in policy.reached)


def _operating_cells(point: OperatingPoint) -> tuple[str, str, str, str]:
    free = point.cost_usd is None and point.strong_tokens is not None
    return (
        f"{100 * point.gap_recovered:.0f} %",
        percent(point.accuracy),
        percent_interval(point.strong_tokens, point.strong_tokens_ci95),
        "–" if free else percent_interval(point.cost_usd, point.cost_usd_ci95),
    )


def _line(*cells: str, style: str = "") -> Text:
    text = "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
    return Text(text, style=style, no_wrap=True)


def _remarks(summary: Summary) -> str:
    remarks = [f"spent {dollars(summary.spent_usd)}"]
    if summary.interrupted_usd:
        remarks.append(f"interrupted attempts {dollars(summary.interrupted_usd)}")
    if summary.failed or summary.undecided:
        remarks.append(f"[yellow]{summary.failed} failed, {summary.undecided} undecided (counted as not correct)[/]")
    if summary.metrics_note:
        remarks.append(f"[yellow]{summary.metrics_note}[/]")
    return " · ".join(remarks)
