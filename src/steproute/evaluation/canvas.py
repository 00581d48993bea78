"""A panel of a picture as SVG: a frame with axes that maps a cost share and an accuracy to pixels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from steproute.evaluation.formatting import percent

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 40, 64
_GRID: Final = "#e3e3e3"
_INK: Final = "#222222"
Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a series is drawn, and its name in the legend: a dash pattern of "none" is a solid line, "" is no line.

    ring: dots are hollow.
    """

    label: str
    colour: str
    width: float = 2
    dash: str = "none"
    radius: float = 0
    ring: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The size of a panel in pixels, and the cost shares and accuracies that it shows."""

    width: int
    height: int
    right: float
    low: float
    high: float


class Panel:
    """Draws into `root`. A place is (cost share, accuracy); everything else is in pixels from the top left."""

    def __init__(self, root: Element, frame: Frame) -> None:
        self._root, self.frame = root, frame

    def pixels(self, at: Place) -> Place:
        """Where a place is."""
        frame = self.frame
        x = _LEFT + (frame.width - _LEFT - _RIGHT) * (at[0] + 0.02) / (frame.right + 0.02)
        way = (at[1] - frame.low) / (frame.high - frame.low)
        return x, frame.height - _BOTTOM - (frame.height - _TOP - _BOTTOM) * way

    def axes(self, title: str, name: str) -> None:
        """Title, grid, numbers and the name of the cost axis."""
        frame = self.frame
        bottom, right = frame.height - _BOTTOM, frame.width - _RIGHT
        for value in ticks(frame.low, frame.high):
            _, y = self.pixels((0.0, value))
            self._stroke([(_LEFT, y), (right, y)], Style(label="", colour=_GRID, width=1))
            text(self._root, (_LEFT - 8, y + 6), f"{100 * value:.0f}", anchor="end")
        for value in ticks(0.0, frame.right):
            x, _ = self.pixels((value, 0.0))
            self._stroke([(x, _TOP), (x, bottom)], Style(label="", colour=_GRID, width=1))
            text(self._root, (x, bottom + 24), f"{100 * value:.0f}", anchor="middle")
        text(self._root, ((_LEFT + right) / 2, bottom + 52), name, anchor="middle")
        text(self._root, (8, _TOP - 16), title)

    def line(self, places: Sequence[Place], style: Style) -> None:
        """A line through places, with dots if the style has a radius."""
        pixels = [self.pixels(at) for at in places]
        if len(pixels) > 1 and style.dash:
            self._stroke(pixels, style)
        for at, (share, accuracy) in zip(pixels, places, strict=True):
            if style.radius:
                dot = circle(self._root, at, style)
                SubElement(dot, "title").text = f"{style.label}: {percent(accuracy)} at {percent(share)}"

    def area(self, places: Sequence[Place], colour: str) -> None:
        """A pale filled outline."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.pixels, places))
        SubElement(self._root, "polygon", {"points": points, "fill": colour, "fill-opacity": "0.13"})

    def note(self, at: Place, words: str, *, offset: Place, fill: str, anchor: str = "start") -> None:
        """Small text beside a place."""
        x, y = self.pixels(at)
        text(self._root, (x + offset[0], y + offset[1]), words, fill=fill, anchor=anchor, size=14)

    def _stroke(self, pixels: Sequence[Place], style: Style) -> None:
        stroke(self._root, pixels, style)


def svg(width: int, height: int, title: str) -> Element:
    """An empty white picture that scales."""
    size = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    look = {"xmlns": "http://www.w3.org/2000/svg", "font-family": "system-ui, Lato, sans-serif", "role": "img"}
    root = Element("svg", look | size)
    SubElement(root, "title").text = title
    SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    return root


def group(root: Element, at: Place) -> Element:
    """A part of a picture, moved to `at`."""
    return SubElement(root, "g", {"transform": f"translate({at[0]:.0f} {at[1]:.0f})"})


def text(root: Element, at: Place, words: str, *, fill: str = _INK, anchor: str = "start", size: int = 17) -> None:
    """Text at pixels."""
    place = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "fill": fill, "text-anchor": anchor, "font-size": str(size)}
    SubElement(root, "text", place).text = words


def circle(root: Element, at: Place, style: Style) -> Element:
    """A dot in the style's colour and radius."""
    place = {"cx": f"{at[0]:.1f}", "cy": f"{at[1]:.1f}", "r": f"{style.radius}"}
    hollow = {"fill": "white", "stroke": style.colour, "stroke-width": "2.5"}
    return SubElement(root, "circle", place | (hollow if style.ring else {"fill": style.colour}))


def stroke(root: Element, pixels: Sequence[Place], style: Style) -> None:
    """A line through pixels."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
    look = {"points": points, "fill": "none", "stroke": style.colour, "stroke-width": f"{style.width}"}
    SubElement(root, "polyline", look | ({} if style.dash == "none" else {"stroke-dasharray": style.dash}))


def ticks(low: float, high: float) -> Iterator[float]:
    """Round values between the ends, at most nine."""
    steps = (digit * 10.0**power for power in range(-2, 12) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 8)
    for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield index * step
