"""The picture of a sweep, accuracy against share of strong tokens: SVG for the report, PNG through resvg."""

import math
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

import resvg_py

from steproute.bench.formatting import percent
from steproute.bench.published import PublishedCurve
from steproute.bench.summary import Axis, Curved, Point, Summary
from steproute.core.whole_file import write_whole

_WIDTH: Final = 1200
_HEIGHT: Final = 800
_LEGEND_ROW: Final = 34
_LEFT, _RIGHT, _TOP, _BOTTOM = 100, 1160, 80, 640
_POLICY: Final = "#0072B2"
_BASELINES: Final = (
    *("#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#B22222", "#7A5195", "#8C564B", "#17BECF"),
    *("#BCBD22", "#2F4B7C", "#FF7F0E", "#4D4D4D", "#2CA02C", "#E377C2", "#A05195", "#665191"),
)
_PUBLISHED: Final = ("#222222", "#B22222")
_REMARKS: Final = {"oracle": "{} (knows the checker)", "random": "{}, per step"}
_MARK: Final = "#D55E00"
_GREY: Final = "#666666"

_AXES: Final[dict[Axis, str]] = {"tokens": "strong tokens", "usd": "dollars"}
Place = tuple[float, float]


def plot_pareto(summary: Summary, path: Path, axis: Axis = "tokens") -> None:
    """Write the picture as a PNG, 1200 pixels wide."""
    write_png(pareto_svg(summary, axis), path)


def write_png(svg: str, path: Path) -> None:
    """Render an SVG, in the font that is shipped for it."""
    with as_file(files("font_lato") / "files" / "Lato-Regular.ttf") as font:
        png = resvg_py.svg_to_bytes(svg, font_files=[str(font)], sans_serif_family="Lato", skip_system_fonts=True)
    write_whole(path, png)


def pareto_svg(summary: Summary, axis: Axis = "tokens") -> str:
    """The policy's points with 95 % intervals, the anchors, random routing and the baselines."""
    canvas = _Canvas(summary, axis)
    canvas.text((_LEFT, 45), f"{summary.name}: {summary.problems} problems of {summary.data}", size=24)
    canvas.axes()
    _draw_anchors(canvas, summary)
    for index, series in enumerate(summary.baselines):
        _draw_baseline(canvas, series, _BASELINES[index % len(_BASELINES)])
    if axis == "tokens":
        for curve, colour in zip(summary.published, _PUBLISHED, strict=False):
            _draw_published(canvas, curve, colour)
    _draw_policy(canvas, summary)
    canvas.legend()
    return tostring(canvas.root, encoding="unicode")


def _draw_anchors(canvas: "_Canvas", summary: Summary) -> None:
    for label, point, x, anchor in (("strong", summary.strong, 0.0, "start"), ("weak", summary.weak, 1.0, "end")):
        canvas.line([(0.0, point.accuracy), (1.0, point.accuracy)], _GREY, width=1, dash="2 4")
        px, py = canvas.place((x, point.accuracy))
        canvas.text((px, py - 8), f"always {label} {percent(point.accuracy)}", fill=_GREY, anchor=anchor)
    canvas.line(canvas.places([summary.weak, summary.strong]), _GREY, dash="8 5", label="random, per problem")


def _draw_baseline(canvas: "_Canvas", series: Curved, colour: str) -> None:
    places = canvas.places(series.points)
    label = _REMARKS.get(series.name, "{}").format(series.name)
    canvas.line(places, colour, label=label, radius=9 if len(places) == 1 else 5)


def _draw_published(canvas: "_Canvas", curve: PublishedCurve, colour: str) -> None:
    places = sorted((point.strong_share, point.accuracy) for point in curve.points)
    canvas.line(places, colour, dash="10 5", label=f"published {curve.name}", radius=4)


def _draw_policy(canvas: "_Canvas", summary: Summary) -> None:
    points = sorted(summary.points, key=canvas.share)
    ends = [tuple(point.accuracy if end is None else end for end in point.accuracy_ci95) for point in points]
    shares = [canvas.share(point) for point in points]
    low = [(share, end[0]) for share, end in zip(shares, ends, strict=True)]
    high = [(share, end[1]) for share, end in zip(shares, ends, strict=True)]
    canvas.area([*low, *reversed(high)], _POLICY)
    canvas.line(canvas.places(points), _POLICY, width=3, label=summary.policy, radius=6)
    for point in points[:: max(1, len(points) // 6)]:
        x, y = canvas.place((canvas.share(point), point.accuracy))
        canvas.text((x + 8, y + 20), f"{point.knob:g}", fill=_POLICY, size=16)
    reached = summary.metrics.get("cpt95")
    if isinstance(reached, float) and canvas.axis == "tokens":
        level = summary.weak.accuracy + 0.95 * (summary.strong.accuracy - summary.weak.accuracy)
        canvas.line([(reached, level)], _MARK, label=f"CPT(95 %) = {percent(reached)}", radius=9)


class _Canvas:
    """An SVG with a frame that maps (share, accuracy) to pixels."""

    def __init__(self, summary: Summary, axis: Axis) -> None:
        self.axis, self._strong = axis, summary.strong
        rows = -(-(3 + len(summary.baselines) + len(summary.published)) // 3)  # of the legend, three labels each
        self._height = _HEIGHT + max(0, rows - 2) * _LEGEND_ROW
        shown = [summary.weak, summary.strong, *summary.points, *(p for s in summary.baselines for p in s.points)]
        values = [end for p in shown for end in (p.accuracy, *p.accuracy_ci95) if end is not None]
        values += [point.accuracy for curve in summary.published for point in curve.points]
        self.low, self.high = max(0.0, min(values) - 0.02), min(1.0, max(values) + 0.03)
        self.right = max(1.0, *(self.share(point) for point in shown)) + 0.02
        self.root = Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {_WIDTH} {self._height}",
                "width": str(_WIDTH),
                "height": str(self._height),
                "font-family": "system-ui, Lato, sans-serif",
                "role": "img",
            },
        )
        SubElement(self.root, "title").text = f"Accuracy against {_AXES[axis]}"
        SubElement(self.root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
        self._keys: list[tuple[str, str, float, str]] = []

    def share(self, point: Point) -> float:
        """A point's cost over always-strong's."""
        return point.strong_share if self.axis == "tokens" else point.cost_usd / self._strong.cost_usd

    def places(self, points: Sequence[Point]) -> list[Place]:
        """(share, accuracy) by cost."""
        return sorted((self.share(point), point.accuracy) for point in points)

    def place(self, at: Place) -> Place:
        """Pixels of (share, accuracy)."""
        x = _LEFT + (_RIGHT - _LEFT) * (at[0] + 0.02) / (self.right + 0.02)
        return x, _BOTTOM - (_BOTTOM - _TOP) * (at[1] - self.low) / (self.high - self.low)

    def axes(self) -> None:
        """Grid, numbers and names of both axes."""
        for value in _ticks(self.low, self.high):
            _, y = self.place((0.0, value))
            self._stroke([(_LEFT, y), (_RIGHT, y)], "#e3e3e3", 1, "")
            self.text((_LEFT - 12, y + 6), f"{100 * value:.0f}", anchor="end")
        for value in _ticks(0.0, self.right):
            x, _ = self.place((value, 0.0))
            self._stroke([(x, _TOP), (x, _BOTTOM)], "#e3e3e3", 1, "")
            self.text((x, _BOTTOM + 26), f"{100 * value:.0f}", anchor="middle")
        self.text(((_LEFT + _RIGHT) / 2, _BOTTOM + 58), f"{_AXES[self.axis]}, % of always-strong", anchor="middle")
        self.text((_LEFT - 60, _TOP - 12), "accuracy, %")

    def line(
        self,
        places: Sequence[Place],
        colour: str,
        *,
        width: float = 2,
        dash: str = "",
        label: str = "",
        radius: float = 0,
    ) -> None:
        """A line through places, with dots where `radius` is given; a label enters it into the legend."""
        pixels = [self.place(at) for at in places]
        if len(pixels) > 1:
            self._stroke(pixels, colour, width, dash, label)
        for (x, y), (share, accuracy) in zip(pixels, places, strict=True):
            if radius:
                dot = SubElement(
                    self.root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius}", "fill": colour}
                )
                SubElement(dot, "title").text = f"{label}: {percent(accuracy)} at {percent(share)}"
        if label:
            self._keys.append((label, colour, radius, "" if len(pixels) == 1 else dash or "none"))

    def area(self, places: Sequence[Place], colour: str) -> None:
        """A pale filled outline."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.place, places))
        SubElement(self.root, "polygon", {"points": points, "fill": colour, "fill-opacity": "0.15"})

    def text(self, at: Place, text: str, *, fill: str = "#222222", anchor: str = "start", size: int = 18) -> None:
        """Text at pixels."""
        place = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "fill": fill, "text-anchor": anchor, "font-size": str(size)}
        SubElement(self.root, "text", place).text = text

    def legend(self) -> None:
        """The labels of all lines, three to a row, below the axes."""
        for index, (label, colour, radius, dash) in enumerate(self._keys):
            x, y = _LEFT + 360 * (index % 3), _BOTTOM + 100 + _LEGEND_ROW * (index // 3)
            if dash:
                self._stroke([(x, y - 6), (x + 44, y - 6)], colour, 3, dash)
            if radius:
                circle = {"cx": f"{x + 22}", "cy": f"{y - 6}", "r": f"{radius}", "fill": colour}
                SubElement(self.root, "circle", circle)
            self.text((x + 54, y), label)

    def _stroke(self, pixels: Sequence[Place], colour: str, width: float, dash: str, label: str = "") -> None:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        style = {"points": points, "fill": "none", "stroke": colour, "stroke-width": f"{width}"}
        line = SubElement(self.root, "polyline", style | ({"stroke-dasharray": dash} if dash else {}))
        if label:
            line.set("data-label", label)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Round values between the ends, at most eight."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if (high - low) / step <= 8)
    for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield index * step
