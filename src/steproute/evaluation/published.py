"""Published curves for the table and the plot of a run in TRIM's world."""

from dataclasses import dataclass
from math import isnan
from typing import Final

from steproute.evaluation.metrics import Anchor, Curve, CurvePoint, measure
from steproute.evaluation.resampling import finite
from steproute.lab.trim_world.parameters import PublishedPoint, load_parameters
from steproute.lab.trim_world.world import is_trim_world

_SOURCE: Final = "TRIM release: MATH-500, 500 problems"
_ANCHORS: Final = "TRIM-Thr"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedShare:
    """One published point; strong_share is strong_tokens over those of always-strong."""

    knob: float
    accuracy: float
    strong_tokens: float
    strong_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCurve:
    """A published policy's points and those of our metrics that they determine (None: not reached), without
    intervals."""

    name: str
    source: str
    points: list[PublishedShare]
    metrics: dict[str, float | None]


def published_curves(data: str) -> list[PublishedCurve]:
    """The published curves that a data set's runs are to be compared with: none outside TRIM's world.

    Always-weak and always-strong are the ends of TRIM-Thr's curve, for every policy.
    """
    if not is_trim_world(data):
        return []
    curves = load_parameters().curves
    ends = sorted(curves[_ANCHORS], key=lambda point: point.knob)
    weak, strong = (Anchor(accuracy=p.accuracy, strong_tokens=p.strong_tokens) for p in (ends[0], ends[-1]))
    return [_published(name, points, weak, strong) for name, points in curves.items()]


def _published(name: str, points: tuple[PublishedPoint, ...], weak: Anchor, strong: Anchor) -> PublishedCurve:
    curve = Curve(
        points=tuple(CurvePoint(knob=p.knob, accuracy=p.accuracy, strong_tokens=p.strong_tokens) for p in points),
        weak=weak,
        strong=strong,
    )
    return PublishedCurve(
        name=name,
        source=_SOURCE,
        points=[
            PublishedShare(
                knob=p.knob,
                accuracy=p.accuracy,
                strong_tokens=p.strong_tokens,
                strong_share=p.strong_tokens / strong.strong_tokens,
            )
            for p in points
        ],
        metrics={name: finite(value) for name, value in measure(curve).items() if not isnan(value)},
    )
