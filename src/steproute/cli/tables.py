"""A summary as tables for the terminal: few columns that fit 80 characters, or all of them."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from rich import box
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from steproute.cli.terminal import Terminal
from steproute.evaluation.failures import FELL_BACK, FailureGroup
from steproute.evaluation.formatting import (
    METRICS_EXPLAINED,
    Shown,
    dollars,
    metric,
    percent,
    percent_interval,
    published_metric,
)
from steproute.evaluation.headline import headlines, how_to_read, is_priced, swept
from steproute.evaluation.metrics import METRICS
from steproute.evaluation.operating_points import OperatingPoint
from steproute.evaluation.summary import Point, SeriesSummary, Summary
from steproute.evaluation.summary_text import bill, seconds, share_names, shares

_COLUMNS: Final = (13, 10, 24, 24, 9)
_NO_LIMIT: Final = 10_000
_REASONS: Final = 5
_LEAST_WIDTH: Final = 8
_CAPTION_WIDTH: Final = 76


def print_summary(console: Terminal, summary: Summary, *, wide: bool = False) -> None:
    """The result in words, what each share of the gap costs, and the policy's knobs; with `wide` all columns."""
    print_result(console, summary)
    tables = (wide_points(summary), *wide_metrics(summary)) if wide else (points_table(summary),)
    print_whole(console, *tables)
    print_contents(console, summary)


def print_result(console: Terminal, summary: Summary) -> None:
    """The headlines, then the operating points of every policy."""
    first, *others = headlines(summary)
    console.print(first, style="bold", highlight=False, markup=False)
    for line in (*others, *_operating_points(summary)):
        console.print(line, highlight=False, markup=False, soft_wrap=isinstance(line, Text))
    console.print(how_to_read(summary), style="dim", highlight=False)


def print_contents(console: Terminal, summary: Summary) -> None:
    """What the summary is made of, what was spent, and why problems failed."""
    console.print(f"made of {summary.contents}", highlight=False, markup=False)
    console.print(remarks(summary))
    print_fallbacks(console, summary.fell_back, summary.fallbacks)
    for group in summary.failures[:_REASONS]:
        console.print(str(group), style="yellow", highlight=False, markup=False)
    if (more := len(summary.failures) - _REASONS) > 0:
        console.print(f"{more} further reasons are in summary.json.", style="yellow", highlight=False)


def print_fallbacks(console: Terminal, fell_back: int, reasons: Sequence[FailureGroup]) -> None:
    """How many solutions fell back, and the most frequent reason, if there are any."""
    if fell_back:
        line = f"{fell_back} {FELL_BACK} {reasons[0]}"
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)


def print_whole(console: Terminal, *tables: Table) -> None:
    """Print tables without truncating columns: `console` becomes as wide as they are, and a terminal wraps lines."""
    for table in tables:
        needed = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), table).maximum
        console.width = max(console.width, needed)
        console.print(table, soft_wrap=True)


def lines_of(caption: str) -> str:
    """A caption in lines, since a table becomes as wide as its caption's longest one."""
    return "\n".join(wrap(caption, _CAPTION_WIDTH))


def points_table(summary: Summary) -> Table:
    """One row per knob between the anchors, 80 characters wide."""
    table = Table(title=_title(summary), caption=lines_of(_CAPTION), box=box.SIMPLE_HEAD, padding=0)
    table.add_column("knob", no_wrap=True)
    for column in ("accuracy", "gap", "$/1000", *share_names(summary), "seconds"):
        table.add_column(column, justify="right", no_wrap=True, min_width=_LEAST_WIDTH)
    for label, point in _rows(summary):
        cells = (percent(point.accuracy), _recovered(summary, point), dollars(1000 * point.cost_usd))
        table.add_row(label, *cells, *shares(summary, point), seconds(summary, point), style=_style(point))
    return table


def wide_points(summary: Summary) -> Table:
    """One row per knob with intervals, every kind of token, calls and seconds."""
    table = Table(title=_title(summary), box=box.SIMPLE_HEAD)
    table.caption = lines_of(f"{_CAPTION} The other figures are means per problem.")
    table.add_column("knob", no_wrap=True)
    for column in ("accuracy [95 %]", "gap", "$/1000", *share_names(summary), "seconds", *_COUNTS):
        table.add_column(column, justify="right", no_wrap=True)
    for label, point in _rows(summary):
        table.add_row(label, *_wide_cells(summary, point), style=_style(point))
    return table


def wide_metrics(summary: Summary) -> list[Table]:
    """Every metric with its interval, one row per policy: a table by dollars, if there are any, and one by tokens."""
    series: list[Summary | SeriesSummary] = [summary, *summary.baselines]
    by_tokens = _metrics_table("strong tokens", summary, [each.metrics for each in series])
    for curve in summary.published:
        by_tokens.add_row(f"published {curve.name}", *(published_metric(curve.metrics, name) for name in METRICS))
    if not is_priced(summary):
        return [by_tokens]
    return [_metrics_table("dollars", summary, [each.metrics_usd for each in series]), by_tokens]


def _metrics_table(cost: str, summary: Summary, rows: Sequence[Shown]) -> Table:
    table = Table(title=f"metrics by {cost} [95 %]", caption=lines_of(METRICS_EXPLAINED), box=box.SIMPLE_HEAD)
    for column in ("policy", *(each.label for each in METRICS.values())):
        table.add_column(column, no_wrap=True)
    for policy, metrics in zip(swept(summary), rows, strict=True):
        table.add_row(policy.label, *(metric(metrics, name) for name in METRICS))
    return table


_CAPTION: Final = (
    "knob: the policy's setting. gap: share of the accuracy gap between weak and strong that is recovered. dollars, "
    "tokens, time: share of what the strong model alone takes. $/1000: dollars per 1000 problems. seconds: per problem."
)
_COUNTS: Final = ("strong", "weak", "discarded", "PRM read", "calls", "wasted", "by checker")


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


def _wide_cells(summary: Summary, point: Point) -> tuple[str, ...]:
    tokens = (point.strong_tokens, point.weak_tokens, point.discarded_tokens, point.prm_tokens, point.calls)
    return (
        percent_interval(point.accuracy, point.accuracy_ci95),
        _recovered(summary, point),
        dollars(1000 * point.cost_usd),
        *shares(summary, point),
        seconds(summary, point),
        *(f"{value:.1f}" for value in tokens),
        *(_share(value) for value in (point.wasted_regenerations, point.wasted_by_checker)),
    )


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _operating_points(summary: Summary) -> Iterator[Text]:
    """A block of lines per policy under its name, which can have any length."""
    if not summary.operating_points:
        return
    yield Text()
    names = ("strong tokens [95 %]", "dollars [95 %]")
    yield _line("gap recovered", "accuracy", *_ordered(summary, *names), "time", style="bold")
    for policy in swept(summary):
        yield Text(policy.label, style="bold")
        if policy.single_model:
            point = policy.points[0]
            yield _line("–", percent(point.accuracy), *shares(summary, point))
        else:
            yield from (_line(*_operating_cells(summary, point)) for point in policy.reached)


def _ordered(summary: Summary, tokens: str, usd: str) -> tuple[str, str]:
    return (usd, tokens) if is_priced(summary) else (tokens, usd)


def _operating_cells(summary: Summary, point: OperatingPoint) -> tuple[str, str, str, str, str]:
    free = point.cost_usd is None and point.strong_tokens is not None
    tokens = percent_interval(point.strong_tokens, point.strong_tokens_ci95)
    usd = "–" if free else percent_interval(point.cost_usd, point.cost_usd_ci95)
    return (
        f"{100 * point.gap_recovered:.0f} %",
        percent(point.accuracy),
        *_ordered(summary, tokens, usd),
        "–" if point.latency is None else percent(point.latency),
    )


def _line(*cells: str, style: str = "") -> Text:
    text = "".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
    return Text(text, style=style, no_wrap=True)


def remarks(summary: Summary) -> str:
    """What was spent, and what is missing."""
    remarks = [bill(summary)]
    if summary.failed or summary.undecided:
        remarks.append(f"[yellow]{summary.failed} failed, {summary.undecided} undecided (counted as not correct)[/]")
    for reason, count in summary.undecided_reasons.items():
        remarks.append(f"[yellow]undecided {count}×: {escape(reason)}[/]")
    if summary.metrics_note:
        remarks.append(f"[yellow]{summary.metrics_note}[/]")
    return " · ".join(remarks)
