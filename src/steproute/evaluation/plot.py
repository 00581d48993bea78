"""The picture of a sweep, accuracy by dollars and by strong tokens: SVG for the report, PNG through resvg."""

from collections.abc import Sequence
from importlib.resources import as_file, files
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, tostring

import resvg_py

from steproute.core.whole_file import write_whole
from steproute.evaluation.canvas import Frame, Panel, Place, Style, circle, group, stroke, svg, text
from steproute.evaluation.formatting import percent
from steproute.evaluation.headline import Swept, is_priced, swept
from steproute.evaluation.published import PublishedCurve
from steproute.evaluation.summary import Axis, Point, Summary

_WIDTH: Final = 1200
_HEAD, _PANEL, _LEGEND_ROW = 52, 520, 32
_REPORT_PANEL: Final = 480
_GREY: Final = "#666666"
_POLICY: Final = "#0072B2"
_COLOURS: Final = (
    *("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C564B", "#17BECF"),
    *("#BCBD22", "#2F4B7C", "#B22222", "#4D4D4D", "#2CA02C", "#E377C2", "#A05195", "#665191"),
)
_PUBLISHED: Final = ("#222222", "#B22222")
_ANCHORS: Final = Style(label="random, per problem", colour=_GREY, dash="8 5")
_MARK: Final = Style(label="95 % of the gap", colour="#222222", dash="", radius=5, ring=True)
_KNOB_NOTES: Final = 4
_EXPENSIVE_FROM: Final = 1.3
_MARGIN: Final = 0.06
_AXES: Final[dict[Axis, tuple[str, str]]] = {
    "tokens": ("accuracy, %, by strong tokens", "strong tokens, % of always-strong"),
    "usd": ("accuracy, %, by dollars", "dollars, % of always-strong"),
}


def plot_pareto(summary: Summary, path: Path) -> None:
    """Write the picture as a PNG, 1200 pixels wide: dollars on the left, tokens on the right, the legend below."""
    write_png(pareto_svg(summary), path)


def write_png(picture: str, path: Path) -> None:
    """Render an SVG, in the font that is shipped for it."""
    with as_file(files("font_lato") / "files" / "Lato-Regular.ttf") as font:
        png = resvg_py.svg_to_bytes(picture, font_files=[str(font)], sans_serif_family="Lato", skip_system_fonts=True)
    write_whole(path, png)


def pareto_svg(summary: Summary) -> str:
    """Every policy's points between the anchors, the first with 95 % intervals."""
    keys, shown = legend(summary), axes(summary)
    root = svg(_WIDTH, _HEAD + _PANEL + _LEGEND_ROW * (1 - -len(keys) // 3), "Accuracy against cost")
    text(root, (8, 32), f"{summary.name}: {summary.problems} problems of {summary.data}", size=22)
    for index, axis in enumerate(shown):
        width = _WIDTH // len(shown)
        _draw(group(root, (index * width, _HEAD)), summary, axis, width, _PANEL)
    for index, style in enumerate(keys):
        _key(root, style, (62 + 380 * (index % 3), _HEAD + _PANEL + 24 + _LEGEND_ROW * (index // 3)))
    return tostring(root, encoding="unicode")


def panel_svg(summary: Summary, axis: Axis) -> str:
    """One panel alone, for a page that has its own legend; readable on a phone."""
    root = svg(_REPORT_PANEL, _REPORT_PANEL, f"Accuracy by {_AXES[axis][1]}")
    _draw(root, summary, axis, _REPORT_PANEL, _REPORT_PANEL)
    return tostring(root, encoding="unicode")


def axes(summary: Summary) -> tuple[Axis, ...]:
    """Dollars first, if always-strong costs any, then strong tokens."""
    return ("usd", "tokens") if is_priced(summary) else ("tokens",)


def legend(summary: Summary) -> list[Style]:
    """What is drawn, in the order of the legend."""
    return [*_styles(swept(summary)), *_published_styles(summary), _ANCHORS, _MARK]


def _styles(policies: Sequence[Swept]) -> list[Style]:
    return [_style(policy, index) for index, policy in enumerate(policies)]


def _published_styles(summary: Summary) -> list[Style]:
    return [
        Style(label=f"published {curve.name}", colour=colour, dash="10 5", radius=3)
        for curve, colour in zip(summary.published, cycle(_PUBLISHED), strict=False)
    ]


def _published_places(curve: PublishedCurve) -> list[Place]:
    return sorted((point.strong_share, point.accuracy) for point in curve.points)


def _style(policy: Swept, index: int) -> Style:
    if index == 0:
        return Style(label=policy.label, colour=_POLICY, width=3, radius=5)
    colour = _COLOURS[(index - 1) % len(_COLOURS)]
    if len(policy.points) == 1:
        return Style(label=policy.label, colour=colour, dash="", radius=7)
    return Style(label=policy.label, colour=colour, dash="3 4" if policy.name == "random" else "none", radius=4)


def _draw(root: Element, summary: Summary, axis: Axis, width: int, height: int) -> None:
    policies = swept(summary)
    panel = Panel(root, _frame(summary, axis, width, height))
    panel.axes(*_AXES[axis])
    _draw_anchors(panel, summary, axis)
    for policy, style in reversed(list(zip(policies, _styles(policies), strict=True))):
        panel.line(_places(policy.points, summary, axis), style)
    if axis == "tokens":
        for curve, style in zip(summary.published, _published_styles(summary), strict=True):
            panel.line(_published_places(curve), style)
    _draw_first(panel, policies[0].points, summary, axis)
    for policy in policies:
        if policy is policies[0] or policy.shipped:
            _draw_mark(panel, policy, axis)


def _draw_anchors(panel: Panel, summary: Summary, axis: Axis) -> None:
    panel.line(_places([summary.weak, summary.strong], summary, axis), _ANCHORS)
    frame = panel.frame
    end = frame.right / (1 + _MARGIN) if frame.right > _EXPENSIVE_FROM else 1.0
    notes = (
        ("always weak", summary.weak, end, (0, 18), "end"),
        ("always strong", summary.strong, 0.0, (0, -6), "start"),
    )
    for label, point, x, offset, anchor in notes:
        level = Style(label="", colour=_GREY, width=1, dash="2 4")
        panel.line([(0.0, point.accuracy), (end, point.accuracy)], level)
        panel.line(_places([point], summary, axis), Style(label=label, colour=_GREY, radius=5))
        words = f"{label} {percent(point.accuracy)}"
        panel.note((x, point.accuracy), words, offset=offset, fill=_GREY, anchor=anchor)
    if axis == "usd" and frame.right > _EXPENSIVE_FROM:
        panel.line([(1.0, frame.low), (1.0, frame.high)], Style(label="", colour=_GREY, width=1, dash="2 4"))
        panel.note((1.0, frame.low), "costs more than always strong", offset=(6, -8), fill=_GREY)


def _draw_first(panel: Panel, points: Sequence[Point], summary: Summary, axis: Axis) -> None:
    """The intervals and some knobs of the policy under study."""
    drawn = [point for point in points if isfinite(point.strong_share)]
    ordered = sorted(drawn, key=lambda point: _share(point, summary, axis))
    ends = [tuple(point.accuracy if end is None else end for end in point.accuracy_ci95) for point in ordered]
    shares = [_share(point, summary, axis) for point in ordered]
    low = [(share, end[0]) for share, end in zip(shares, ends, strict=True)]
    high = [(share, end[1]) for share, end in zip(shares, ends, strict=True)]
    panel.area([*low, *reversed(high)], _POLICY)
    for point in ordered[:: max(1, len(ordered) // _KNOB_NOTES)]:
        at = _share(point, summary, axis), point.accuracy
        panel.note(at, f"{point.knob:g}", offset=(7, 17), fill=_POLICY)


def _draw_mark(panel: Panel, policy: Swept, axis: Axis) -> None:
    for point in policy.reached[-1:]:
        share = point.strong_tokens if axis == "tokens" else point.cost_usd
        if share is not None:
            panel.line([(share, point.accuracy)], _MARK)


def _frame(summary: Summary, axis: Axis, width: int, height: int) -> Frame:
    points = [summary.weak, summary.strong, *(point for policy in swept(summary) for point in policy.points)]
    values = [end for point in points for end in (point.accuracy, *point.accuracy_ci95) if end is not None]
    values += [point.accuracy for curve in summary.published for point in curve.points]
    return Frame(
        width=width,
        height=height,
        right=_right(max(1.0, *(_share(point, summary, axis) for point in points))),
        low=max(0.0, min(values) - 0.05),
        high=min(1.0, max(values)) + 0.03,
    )


def _right(greatest: float) -> float:
    """Where the axis ends, with room for the last knob's note if it is far out."""
    return greatest * (1 + _MARGIN) if greatest > _EXPENSIVE_FROM else greatest + 0.02


def _share(point: Point, summary: Summary, axis: Axis) -> float:
    """A point's cost over always-strong's."""
    return point.strong_share if axis == "tokens" else point.cost_usd / summary.strong.cost_usd


def _places(points: Sequence[Point], summary: Summary, axis: Axis) -> list[Place]:
    return sorted((_share(point, summary, axis), point.accuracy) for point in points if isfinite(point.strong_share))


def _key(root: Element, style: Style, at: Place) -> None:
    x, y = at
    if style.dash:
        stroke(root, [(x, y - 6), (x + 40, y - 6)], style)
    if style.radius:
        circle(root, (x + 20, y - 6), style)
    text(root, (x + 50, y), style.label)
