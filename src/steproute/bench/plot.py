"""The picture of a sweep: accuracy against share of strong tokens."""

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from steproute.bench.formatting import percent
from steproute.bench.summary import Curved, Point, Summary

_POLICY: Final = "#0072B2"
_BASELINES: Final = ("#E69F00", "#009E73", "#CC79A7", "#56B4E9")
_GREY: Final = "#666666"


def plot_pareto(summary: Summary, path: Path) -> None:
    """Write the picture as a PNG of 1200 × 800 pixels."""
    figure = pareto_figure(summary)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150)


def pareto_figure(summary: Summary) -> Figure:
    """The policy's points with 95 % intervals, the anchors, random routing and the baselines."""
    figure = Figure(figsize=(8, 16 / 3), layout="constrained")
    axes = figure.subplots()
    _draw_anchors(axes, summary)
    for index, series in enumerate(summary.baselines):
        _draw_baseline(axes, series, _BASELINES[index % len(_BASELINES)])
    _draw_policy(axes, summary)
    axes.set_xlabel("strong tokens, % of always-strong")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{summary.name}: {summary.problems} problems of {summary.data}")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_anchors(axes: Axes, summary: Summary) -> None:
    for label, point, x, side in (("strong", summary.strong, 0, "left"), ("weak", summary.weak, 100, "right")):
        level = 100 * point.accuracy
        axes.axhline(level, color=_GREY, linewidth=0.8, linestyle=":")
        text = f"always {label} {percent(point.accuracy)}"
        axes.annotate(text, (x, level), (0, 4), textcoords="offset points", color=_GREY, fontsize=9, ha=side)
    ends = [summary.weak, summary.strong]
    axes.plot(*_line(ends), color=_GREY, linewidth=1, linestyle="--", label="random, per problem")


def _draw_baseline(axes: Axes, series: Curved, colour: str) -> None:
    single = len(series.points) == 1
    axes.plot(
        *_line(series.points),
        color=colour,
        linewidth=1.2,
        marker="*" if single else "s",
        markersize=14 if single else 4,
        linestyle="none" if single else "-",
        label=f"{series.name} (knows the checker)" if series.name == "oracle" else f"{series.name}, per step",
    )


def _draw_policy(axes: Axes, summary: Summary) -> None:
    points = sorted(summary.points, key=lambda point: point.strong_share)
    x, y = _line(points)
    low, high = ([100 * (end or 0.0) for end in ends] for ends in zip(*(p.accuracy_ci95 for p in points), strict=True))
    axes.fill_between(x, low, high, color=_POLICY, alpha=0.15, linewidth=0)
    axes.plot(x, y, color=_POLICY, linewidth=2, marker="o", markersize=5, label=summary.policy)
    for point in points[:: max(1, len(points) // 5)]:
        place = (100 * point.strong_share, 100 * point.accuracy)
        axes.annotate(f"{point.knob:g}", place, (5, -11), textcoords="offset points", color=_POLICY, fontsize=9)
    reached = summary.metrics.get("cpt95")
    if isinstance(reached, float):
        level = summary.weak.accuracy + 0.95 * (summary.strong.accuracy - summary.weak.accuracy)
        axes.plot(
            [100 * reached],
            [100 * level],
            marker="D",
            color="#D55E00",
            linestyle="none",
            label=f"CPT(95 %) = {percent(reached)}",
        )


def _line(points: list[Point]) -> tuple[list[float], list[float]]:
    """x and y in per cent, by cost."""
    ordered = sorted(points, key=lambda point: point.strong_share)
    return [100 * point.strong_share for point in ordered], [100 * point.accuracy for point in ordered]
