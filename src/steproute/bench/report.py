"""The report of a sweep: one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from steproute.bench.formatting import (
    LABELS,
    METRICS_EXPLAINED,
    dollars,
    metric,
    percent,
    percent_interval,
    policy_label,
)
from steproute.bench.headline import headlines, how_to_read, swept
from steproute.bench.plot import axes, legend, panel_svg
from steproute.bench.summary import Summary
from steproute.bench.sweep import Graded
from steproute.core.problem import Problem
from steproute.core.whole_file import write_whole


def write_report(summary: Summary, examples: Sequence[tuple[Problem, Graded]], path: Path) -> None:
    """Write the page; texts of problems and models are escaped, nothing is loaded from elsewhere.

    examples: problems, each with a graded trace.
    """
    environment = Environment(
        loader=PackageLoader("steproute.bench", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    points = [(f"{point.knob:g}", point) for point in summary.points]
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        policies=swept(summary),
        examples=examples,
        headlines=headlines(summary),
        how_to_read=how_to_read(summary),
        charts=[Markup(panel_svg(summary, axis)) for axis in axes(summary)],  # built by an XML writer, which escapes
        legend=legend(summary),
        labels=LABELS,
        metrics_explained=METRICS_EXPLAINED,
        rows=[("always weak", summary.weak), *points, ("always strong", summary.strong)],
        metric=metric,
        percent=percent,
        percent_interval=percent_interval,
        policy_label=policy_label,
        dollars=dollars,
        settings=_flat(summary.settings),
    )
    write_whole(path, page.encode())


def _flat(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """The fields of a table and of those within it, as `route.strategy`."""
    fields: dict[str, object] = {}
    for name, value in table.items():
        fields |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return fields
