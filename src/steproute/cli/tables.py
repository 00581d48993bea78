"""A summary as tables for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table

from steproute.bench.bootstrap import METRICS
from steproute.bench.formatting import LABELS, dollars, metric, percent, percent_interval, published_metric
from steproute.bench.summary import Point, Summary


def summary_tables(summary: Summary) -> RenderableType:
    """Points beside the anchors, then the metrics of the policy and of every baseline."""
    return Group(_points(summary), _metrics(summary), *_remarks(summary))


def _points(summary: Summary) -> Table:
    title = f"{summary.name}: {summary.problems} problems of {summary.data}, seed {summary.seed}"
    caption = "c: strong tokens over always-strong's · $/1000: everything spent, for 1000 problems · s: a problem"
    table = Table(title=title, caption=caption)
    table.add_column("knob", no_wrap=True)
    for column in ("accuracy [95 %]", "PGR", "c", "strong tok.", "$/1000", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    rows = [("always weak", summary.weak), *((f"{point.knob:g}", point) for point in summary.points)]
    for label, point in [*rows, ("always strong", summary.strong)]:
        table.add_row(label, *_cells(summary, point), style="dim" if label.startswith("always") else "")
    return table


def _cells(summary: Summary, point: Point) -> tuple[str, ...]:
    gap = summary.strong.accuracy - summary.weak.accuracy
    return (
        percent_interval(point.accuracy, point.accuracy_ci95),
        percent((point.accuracy - summary.weak.accuracy) / gap) if gap > 0 else "–",
        percent(point.strong_share),
        f"{point.strong_tokens:.1f}",
        dollars(1000 * point.cost_usd),
        f"{point.latency_s:.2f}",
    )


def _metrics(summary: Summary) -> Table:
    published = [f"published {curve.name}" for curve in summary.published]
    table = Table("metric [95 %]", summary.policy, *(series.name for series in summary.baselines), *published)
    for name in METRICS:
        others = (published_metric(curve.metrics, name) for curve in summary.published)
        table.add_row(LABELS[name], *(metric(each, name) for each in _columns(summary)), *others)
    return table


def _columns(summary: Summary) -> list[dict[str, float | tuple[float | None, float | None] | None]]:
    return [summary.metrics, *(series.metrics for series in summary.baselines)]


def _remarks(summary: Summary) -> list[str]:
    remarks = [f"spent {dollars(summary.spent_usd)}"]
    if summary.interrupted_usd:
        remarks.append(f"interrupted attempts {dollars(summary.interrupted_usd)}")
    if summary.failed or summary.undecided:
        remarks.append(f"[yellow]{summary.failed} failed, {summary.undecided} undecided (counted as not correct)[/]")
    if summary.metrics_note:
        remarks.append(f"[yellow]{summary.metrics_note}[/]")
    return [" · ".join(remarks)]
