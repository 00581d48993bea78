"""The picture of a comparison: the APGR of every policy with its interval, side by side by each kind of cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, tostring

from steproute.evaluation.canvas import Style, circle, group, stroke, svg, text, ticks
from steproute.evaluation.compare import Comparison, Row
from steproute.evaluation.comparison_text import AXIS_LABELS, compared_axes, standing
from steproute.evaluation.formatting import policy_label
from steproute.evaluation.judged_runs import Cost
from steproute.evaluation.plot import write_png

_LABELS, _PANEL, _GAP = 330, 280, 20
_HEAD, _ROW, _FOOT = 84, 26, 64
_GREY: Final = "#8a8a8a"
_GRID: Final = "#e3e3e3"
_COLOURS: Final = {"ahead": "#0072B2", "behind": "#D55E00", "level": _GREY, "–": _GREY}
_LEAST: Final = 0.0
_METRIC: Final = "apgr"


def plot_comparison(comparison: Comparison, strategy: str, path: Path) -> None:
    """Write the picture as a PNG; nothing if there is no gap to compare by.

    strategy: of the policies whose names have none.
    """
    if compared_axes(comparison):
        write_png(comparison_svg(comparison, strategy), path)


def comparison_svg(comparison: Comparison, strategy: str) -> str:
    """One row per policy, those with the highest APGR by the first kind of cost on top; one panel per kind of cost.

    The vertical line is the policy that all are compared with.
    """
    shown = compared_axes(comparison)
    rows = sorted(comparison.rows, key=lambda row: -_value(row, shown[0]))
    width, height = _LABELS + len(shown) * (_PANEL + _GAP), _HEAD + _ROW * len(rows) + _FOOT
    root = svg(width, height, "APGR by kind of cost")
    text(root, (8, 30), f"APGR [95 %]: {comparison.problems} problems of {comparison.data}", size=21)
    _legend(root, policy_label(comparison.rows[0].name, strategy), width)
    for index, row in enumerate(rows):
        text(
            root, (_LABELS - 14, _HEAD + _ROW * (index + 0.7)), policy_label(row.name, strategy), anchor="end", size=15
        )
    for index, axis in enumerate(shown):
        _draw(group(root, (_LABELS + index * (_PANEL + _GAP), _HEAD)), comparison, rows, axis)
    return tostring(root, encoding="unicode")


def _draw(root: Element, comparison: Comparison, rows: Sequence[Row], axis: Cost) -> None:
    low, high = _ends(rows, axis)
    bottom = _ROW * len(rows)

    def x(value: float) -> float:
        return (min(max(value, low), high) - low) / (high - low) * _PANEL

    text(root, (_PANEL / 2, -12), f"by {AXIS_LABELS[axis]}", anchor="middle")
    for value in ticks(low, high):
        stroke(root, [(x(value), 0), (x(value), bottom)], Style(label="", colour=_GRID, width=1))
        text(root, (x(value), bottom + 22), f"{value:g}", anchor="middle", size=15)
    first = _value(comparison.rows[0], axis)
    stroke(root, [(x(first), 0), (x(first), bottom)], Style(label="", colour="#222222", width=1.5, dash="5 4"))
    for index, row in enumerate(rows):
        y = _ROW * (index + 0.5)
        style = Style(label="", colour=_colour(comparison, row, axis), radius=5)
        ends = row.metrics[axis][f"{_METRIC}_ci95"]
        if isinstance(ends, tuple):
            stroke(root, [(x(low if end is None else end), y) for end in ends], style)
        circle(root, (x(_value(row, axis)), y), style)


def _ends(rows: Sequence[Row], axis: Cost) -> tuple[float, float]:
    """The values that the panel shows; what lies further out is drawn at its edge."""
    values = [_value(row, axis) for row in rows]
    return max(_LEAST, min(values) - 0.05), min(1.0, max(values) + 0.08)


def _colour(comparison: Comparison, row: Row, axis: Cost) -> str:
    first = comparison.rows[0].name
    if row.name == first:
        return "#222222"
    return _COLOURS[standing(comparison.pair(row.name, first, _METRIC, axis))]


def _value(row: Row, axis: Cost) -> float:
    value = row.metrics[axis][_METRIC]
    assert isinstance(value, float)
    return value


def _legend(root: Element, first: str, width: int) -> None:
    keys = ((f"ahead of {first}", "ahead"), ("level", "level"), ("behind", "behind"))
    place = float(width - 24)
    for words, key in reversed(keys):
        text(root, (place, 30), words, anchor="end", size=16)
        place -= 8 * len(words) + 14
        circle(root, (place, 25), Style(label="", colour=_COLOURS[key], radius=5))
        place -= 22
