"""How far scores are from being probabilities: expected calibration error, Brier score, reliability diagram."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.evaluation.plot import write_png
from steproute.evaluation.proportions import proportion_interval

BINS: Final = 15
_SIZE, _LEFT, _TOP, _HEIGHT = 560, 80, 40, 680
_COLOURS: Final = ("#D55E00", "#0072B2", "#009E73")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Items whose scores lie in one of equally wide bins; `right` is the share of correct ones, with its interval."""

    low: float
    high: float
    count: int
    mean_score: float
    right: float
    right_ci95: tuple[float, float]


def reliability(scores: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS) -> list[ReliabilityBin]:
    """The bins that hold anything, ascending. scores in [0, 1] and labels have shape (item,).

    Raises ConfigError for shapes that differ, no item, or a score outside [0, 1].
    """
    score, label = _checked(scores, labels)
    index = np.minimum((score * bins).astype(int), bins - 1)
    result = []
    for place in np.unique(index).tolist():
        here = index == place
        count, right = int(here.sum()), int(label[here].sum())
        interval = proportion_interval(right, count)
        result.append(
            ReliabilityBin(
                low=place / bins,
                high=(place + 1) / bins,
                count=count,
                mean_score=float(score[here].mean()),
                right=right / count,
                right_ci95=(interval.low, interval.high),
            )
        )
    return result


def expected_calibration_error(scores: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS) -> float:
    """Σ over bins of (share of items) × |mean score − share correct|, in [0, 1].

    Raises as `reliability` does. Source: Naeini et al. 2015; Guo et al. 2017.
    """
    result = reliability(scores, labels, bins)
    items = sum(each.count for each in result)
    return sum(each.count * abs(each.mean_score - each.right) for each in result) / items


def brier_score(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean squared difference of score and label, in [0, 1]. Raises as `reliability` does. Source: Brier 1950."""
    score, label = _checked(scores, labels)
    return float(((score - label) ** 2).mean())


def plot_reliability(series: dict[str, list[ReliabilityBin]], path: Path, title: str) -> None:
    """Write the diagram as a PNG: share correct against mean score, with 95 % intervals, dots by number of items."""
    write_png(reliability_svg(series, title), path)


def reliability_svg(series: dict[str, list[ReliabilityBin]], title: str) -> str:
    """The diagram; the dashed diagonal is perfect calibration."""
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_SIZE + 120} {_HEIGHT + 60 + 30 * len(series)}",
            "width": str(_SIZE + 120),
            "height": str(_HEIGHT + 60 + 30 * len(series)),
            "font-family": "system-ui, Lato, sans-serif",
            "font-size": "16",
        },
    )
    SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    _text(root, (_LEFT, 26), title)
    for tick in np.linspace(0, 1, 6).tolist():
        x, y = _place(tick, tick)
        _line(root, (_LEFT, y), (_LEFT + _SIZE, y), "#e3e3e3")
        _line(root, (x, _TOP), (x, _TOP + _SIZE), "#e3e3e3")
        _text(root, (_LEFT - 44, y + 5), f"{tick:.1f}")
        _text(root, (x - 10, _TOP + _SIZE + 24), f"{tick:.1f}")
    _line(root, _place(0, 0), _place(1, 1), "#666666", dash="6 4")
    _text(root, (_LEFT + _SIZE / 2 - 40, _TOP + _SIZE + 50), "mean score")
    _text(root, (8, _TOP - 8), "share correct")
    most = max((each.count for bins in series.values() for each in bins), default=1)
    for index, (name, bins) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        for each in bins:
            x, y = _place(each.mean_score, each.right)
            _line(
                root, _place(each.mean_score, each.right_ci95[0]), _place(each.mean_score, each.right_ci95[1]), colour
            )
            radius = 3 + 9 * (each.count / most) ** 0.5
            SubElement(root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:.1f}", "fill": colour})
        y = _HEIGHT + 30 * index
        SubElement(root, "circle", {"cx": str(_LEFT), "cy": str(y), "r": "7", "fill": colour})
        _text(root, (_LEFT + 16, y + 5), name)
    return tostring(root, encoding="unicode")


def _place(score: float, right: float) -> tuple[float, float]:
    return _LEFT + _SIZE * score, _TOP + _SIZE * (1 - right)


def _line(root: Element, start: tuple[float, float], end: tuple[float, float], colour: str, dash: str = "") -> None:
    ends = {"x1": f"{start[0]:.1f}", "y1": f"{start[1]:.1f}", "x2": f"{end[0]:.1f}", "y2": f"{end[1]:.1f}"}
    SubElement(root, "line", {**ends, "stroke": colour, "stroke-width": "2", "stroke-dasharray": dash or "none"})


def _text(root: Element, at: tuple[float, float], text: str) -> None:
    SubElement(root, "text", {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "fill": "#222222"}).text = text


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[F64, F64]:
    score, label = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    if score.ndim != 1 or score.shape != label.shape or not score.size:
        raise ConfigError(
            f"shape {score.shape}, labels {label.shape}.", where="scores", remedy="Give one of each per item."
        )
    if not ((score >= 0) & (score <= 1)).all():
        raise ConfigError("one is outside [0, 1] or NaN.", where="scores", remedy="Give probabilities.")
    return score, label
