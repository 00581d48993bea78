"""The metrics of step-level routing, from an accuracy-cost curve. Source: TRIM, metrics."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError, SteprouteError
from steproute.evaluation.curves import REGIONS, CurveBatch
from steproute.evaluation.waste import WASTE_AT, Regenerations


class UndefinedMetric(SteprouteError, ValueError):
    """A metric has no value for this curve, for example if strong is no better than weak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Always-weak or always-strong: the accuracy in [0, 1] and the mean strong generated tokens per problem.

    Raises ConfigError for values that cannot be.
    """

    accuracy: float
    strong_tokens: float

    def __post_init__(self) -> None:
        _check_outcome(self.accuracy, self.strong_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One knob of a policy: its accuracy in [0, 1] and its mean strong generated tokens per problem.

    regenerations: their means per problem, zeros if they are not known. Raises ConfigError for values that cannot be.
    """

    knob: float
    accuracy: float
    strong_tokens: float
    regenerations: Regenerations = Regenerations()

    def __post_init__(self) -> None:
        if not math.isfinite(self.knob):
            raise ConfigError(
                f"{self.knob} is not a number.", where="knob", remedy="Give the policy's setting at this point."
            )
        _check_outcome(self.accuracy, self.strong_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a policy reaches at each of its knobs, between always-weak and always-strong.

    Points may come in any order, cost more than strong does, and be non-monotone: no frontier is drawn. Of points that
    cost the same, the anchors among them, only the most accurate counts. Raises ConfigError without a point.
    """

    points: tuple[CurvePoint, ...]
    weak: Anchor
    strong: Anchor

    def __post_init__(self) -> None:
        if not self.points:
            raise ConfigError("the curve has none.", where="points", remedy="Give one for each knob that was run.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a curve.

    label: its name in tables. values: of many curves at once, shape (curve,). is_share: shown as a percentage.
    """

    label: str
    values: Callable[[CurveBatch], F64]
    lower_is_better: bool = False
    is_share: bool = True


def _cpt(percent: int) -> Metric:
    return Metric(label=f"CPT({percent} %)", values=lambda curves: curves.cpt(percent / 100), lower_is_better=True)


def _accuracy_at(percent: int) -> Metric:
    return Metric(label=f"accuracy at c = {percent} %", values=lambda curves: curves.accuracy_at(percent / 100))


METRICS: Final[Mapping[str, Metric]] = {
    "cpt50": _cpt(50),
    "cpt80": _cpt(80),
    "cpt95": _cpt(95),
    "apgr": Metric(label="APGR", values=CurveBatch.apgr, is_share=False),
    "delta_ibc": Metric(label="ΔIBC", values=CurveBatch.delta_ibc, is_share=False),
    "accuracy_at_10": _accuracy_at(10),
    "accuracy_at_20": _accuracy_at(20),
    "accuracy_at_30": _accuracy_at(30),
    "wasted_regenerations": Metric(
        label="wasted at c = 30 %", values=lambda curves: curves.wasted_at(WASTE_AT), lower_is_better=True
    ),
    "wasted_by_checker": Metric(
        label="wasted, by checker", values=lambda curves: curves.wasted_by_checker_at(WASTE_AT), lower_is_better=True
    ),
}


def measure(curve: Curve) -> dict[str, float]:
    """Every metric of METRICS by name; CPTs are inf if the share is not reached, and waste is NaN if it is not known.

    Raises UndefinedMetric if there is no gap to recover.
    """
    _check_gap(curve)
    curves = _as_curves(curve)
    return {name: float(metric.values(curves)[0]) for name, metric in METRICS.items()}


def cpt(curve: Curve, share: float) -> float:
    """Smallest c at which PGR reaches `share`, in (0, 1]; inf if it never does ("not reached").

    PGR, the performance gap recovered, is (acc(π) − acc(weak)) / (acc(strong) − acc(weak)), above 1 if π beats strong.
    Linear interpolation on the policy's own curve, which starts at the weak anchor and does not continue to the strong
    one. The first crossing counts, even if the curve falls again later. Above 1, the policy costs more than strong
    alone. Raises ConfigError for a share outside (0, 1], UndefinedMetric if strong is no better than weak or costs
    no more. Source: TRIM, metrics.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"{share} is outside (0, 1].", where="share", remedy="Give 0.5 for CPT(50%).")
    _check_gap(curve)
    return float(_as_curves(curve).cpt(share)[0])


def delta_ibc(curve: Curve, *, regions: int = REGIONS) -> float:
    """ΔIBC of a curve: the mean over `regions` equal-width cost regions between C(weak) and C(strong).

    IBC, the incremental benefit per cost, is (acc(π) − acc(weak)) / (C(π) − C(weak)). ΔIBC is (IBC − IBC_base) /
    IBC_base as a ratio (AutoMix prints it times 100), with the IBC of the strong anchor as IBC_base.
    AutoMix averages over five regions and leaves open what is taken in a region. Here it is ΔIBC in the region's
    middle, on the curve from the weak through the points to the strong anchor, cut at C(strong). So no region is empty,
    knobs that crowd in one region do not weigh more, and the weak-strong straight line gives exactly 0. Five regions
    give at most 2.57 while PGR stays below 1; TRIM reports up to 5.86, so it averages in another way and its ΔIBC does
    not compare. Raises ConfigError for fewer than one region, UndefinedMetric if strong is no better than weak or costs
    no more. Source: AutoMix (arXiv 2310.12963), equation 1 and main results; TRIM, metrics.
    """
    if regions < 1:
        raise ConfigError(f"{regions} is below 1. AutoMix uses {REGIONS}.", where="regions")
    _check_gap(curve)
    return float(_as_curves(curve).delta_ibc(regions)[0])


def apgr(curve: Curve) -> float:
    """Average PGR: the area under PGR over c in [0, 1], 0.5 for the weak-strong straight line.

    Trapezoids on the curve from the weak through the points to the strong anchor, cut at c = 1. Where weak costs
    something, the area over [c(weak), 1] is divided by that width. Raises UndefinedMetric if strong is no better
    than weak or no dearer. Source: RouteLLM (arXiv 2406.18665); TRIM, metrics.
    """
    _check_gap(curve)
    return float(_as_curves(curve).apgr()[0])


def budgeted_accuracy(curve: Curve, c: float) -> float:
    """Accuracy at c strong tokens per strong-only token, c in [0, 1]; NaN if even the cheapest point costs more.

    Linear interpolation on the curve from the weak through the points to the strong anchor, not the best at or below c:
    where the curve falls, a smaller budget does better. Raises ConfigError for c
    outside [0, 1], UndefinedMetric if strong costs no more than weak. Source: TRIM, metrics.
    """
    if not 0 <= c <= 1:
        raise ConfigError(
            f"{c} is outside [0, 1].", where="c", remedy="Give the budget as a fraction of strong-only tokens, as 0.2."
        )
    _check_costs_more(curve)
    return float(_as_curves(curve).accuracy_at(c)[0])


def _check_outcome(accuracy: float, strong_tokens: float) -> None:
    if not 0 <= accuracy <= 1:
        raise ConfigError(
            f"{accuracy} is outside [0, 1].", where="accuracy", remedy="Give the share of problems, 0.73 for 73 %."
        )
    if not (math.isfinite(strong_tokens) and strong_tokens >= 0):
        raise ConfigError(
            f"{strong_tokens} is not a count.", where="strong_tokens", remedy="Give the mean per problem, 0 or more."
        )


def _check_costs_more(curve: Curve) -> None:
    weak, strong = curve.weak.strong_tokens, curve.strong.strong_tokens
    if strong <= weak:
        raise UndefinedMetric(
            f"strong.strong_tokens: strong spends {strong} strong tokens per problem and weak {weak}, so there is no "
            "cost axis. Check that the anchors are not swapped."
        )


def _check_gap(curve: Curve) -> None:
    _check_costs_more(curve)
    weak, strong = curve.weak.accuracy, curve.strong.accuracy
    if strong <= weak:
        raise UndefinedMetric(
            f"strong.accuracy: strong has {strong} and weak {weak}, so there is no gap to recover. "
            "Choose a stronger model, or more problems."
        )


def _as_curves(curve: Curve) -> CurveBatch:
    return CurveBatch.of(
        strong_tokens=np.array([[point.strong_tokens for point in curve.points]], np.float64),
        accuracy=np.array([[point.accuracy for point in curve.points]], np.float64),
        weak=(np.array([curve.weak.strong_tokens], np.float64), np.array([curve.weak.accuracy], np.float64)),
        strong=(np.array([curve.strong.strong_tokens], np.float64), np.array([curve.strong.accuracy], np.float64)),
        regenerations=np.array([[point.regenerations for point in curve.points]], np.float64),
    )
