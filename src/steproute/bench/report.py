"""The report of a sweep: one self-contained HTML page."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from steproute.bench.formatting import LABELS, dollars, metric, percent, percent_interval
from steproute.bench.plot import pareto_svg
from steproute.bench.summary import Summary
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.whole_file import write_whole


def write_report(summary: Summary, examples: Sequence[tuple[Problem, Trace]], path: Path) -> None:
    """Write the page; texts of problems and models are escaped, nothing is loaded from elsewhere."""
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
        examples=examples,
        headline=headline(summary),
        chart=Markup(pareto_svg(summary)),  # built by an XML writer, which escapes
        labels=LABELS,
        rows=[("always weak", summary.weak), *points, ("always strong", summary.strong)],
        metric=metric,
        percent=percent,
        percent_interval=percent_interval,
        dollars=dollars,
    )
    write_whole(path, page.encode())


def headline(summary: Summary) -> str:
    """The result in one sentence, whichever way it went."""
    if summary.metrics_note and summary.metrics.get("apgr") is None:
        return "Strong is not better than weak here, so there is no gap to recover"
    if summary.metrics.get("cpt95") is None:
        return f"{summary.policy} does not recover 95 % of the gap between weak and strong"
    return f"{summary.policy} recovers 95 % of the gap for {metric(summary.metrics, 'cpt95')} of strong tokens"
