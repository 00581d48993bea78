"""The report of a sweep: one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.whole_file import write_whole
from steproute.evaluation.compare import COMPARED, Comparison
from steproute.evaluation.comparison_text import (
    AXIS_LABELS,
    compared_axes,
    difference_text,
    p_text,
    standing,
    what_p_covers,
)
from steproute.evaluation.failures import FELL_BACK
from steproute.evaluation.formatting import (
    METRICS_EXPLAINED,
    Shown,
    dollars,
    metric,
    percent,
    percent_interval,
    policy_label,
)
from steproute.evaluation.headline import headlines, how_to_read, is_priced, swept
from steproute.evaluation.metrics import METRICS
from steproute.evaluation.plot import axes, legend, panel_svg
from steproute.evaluation.summary import SeriesSummary, Summary
from steproute.evaluation.summary_text import bill, seconds, share_names, shares


def write_report(
    summary: Summary, examples: Sequence[tuple[Problem, Trace]], path: Path, comparison: Comparison | None = None
) -> None:
    """Write the page; texts of problems and models are escaped, nothing is loaded from elsewhere.

    examples: problems, each with a graded trace; comparison: of its policies, for a table of how each differs from the
    first one.
    """
    environment = Environment(
        loader=PackageLoader("steproute.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    points = [(f"{point.knob:g}", point) for point in summary.points]
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        bill=bill,
        policies=swept(summary),
        examples=examples,
        headlines=headlines(summary),
        how_to_read=how_to_read(summary),
        charts=[Markup(panel_svg(summary, axis)) for axis in axes(summary)],  # built by an XML writer, which escapes
        legend=legend(summary),
        labels={name: metric.label for name, metric in METRICS.items()},
        metrics_explained=METRICS_EXPLAINED,
        rows=[("always weak", summary.weak), *points, ("always strong", summary.strong)],
        is_priced=is_priced(summary),
        share_names=share_names(summary),
        shares=shares,
        seconds=seconds,
        metrics=_metrics(summary),
        metric=metric,
        percent=percent,
        percent_interval=percent_interval,
        policy_label=policy_label,
        dollars=dollars,
        comparison=None if comparison is None else _compared(comparison, summary),
        settings=_flat(summary.settings),
        fell_back=FELL_BACK,
    )
    write_whole(path, page.encode())


def _compared(comparison: Comparison, summary: Summary) -> dict[str, object]:
    """The table of differences from the first policy: per cost axis, a row per policy with a cell per metric."""
    first, *others = comparison.rows
    compared = [METRICS[name] for name in COMPARED]
    heads = [f"{each.label}, {'lower' if each.lower_is_better else 'higher'} is better" for each in compared]
    tables = []
    for axis in compared_axes(comparison):
        pairs = [[comparison.pair(row.name, first.name, name, axis) for name in COMPARED] for row in others]
        cells = [[(difference_text(p), standing(p), p_text(p, comparison.least_p)) for p in row] for row in pairs]
        labels = [policy_label(row.name, summary.strategy) for row in others]
        tables.append((AXIS_LABELS[axis], list(zip(labels, cells, strict=True))))
    return {
        "first": policy_label(first.name, summary.strategy),
        "heads": heads,
        "tables": tables if others else [],
        "note": what_p_covers(comparison),
    }


def _metrics(summary: Summary) -> list[tuple[str, list[Shown]]]:
    """A table by dollars, if there are any, and one by strong tokens: the values of every policy."""
    series: list[Summary | SeriesSummary] = [summary, *summary.baselines]
    by_usd: list[Shown] = [each.metrics_usd for each in series]
    by_tokens: list[Shown] = [each.metrics for each in series]
    return [*([("dollars", by_usd)] if is_priced(summary) else []), ("strong tokens", by_tokens)]


def _flat(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """The fields of a table and of those within it, as `route.strategy`."""
    fields: dict[str, object] = {}
    for name, value in table.items():
        fields |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return fields
