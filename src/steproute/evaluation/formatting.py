"""How numbers are shown to people, in the terminal as in the report."""

import math
from collections.abc import Mapping
from typing import Final

from steproute.evaluation.metrics import METRICS

Shown = Mapping[str, float | tuple[float | None, float | None] | None]
NOT_REACHED: Final = "not reached"
METRICS_EXPLAINED: Final = (
    "c: cost as a share of what the strong model alone spends. CPT(x): the c at which x of the accuracy gap between "
    "weak and strong is recovered. APGR: mean share of the gap recovered over all c. ΔIBC: how much more accuracy a "
    "unit of cost buys than with the strong model alone, as a ratio. wasted: share of the regenerated steps that score "
    "no higher than the rejected ones, and on the lab also of those that mended no error, by the checker."
)
SHIPPED: Final = ("threshold", "lab-agg")
_POLICIES: Final[Mapping[str, str]] = {
    "lab-agg": "TRIM-Agg",
    "random": "random, per step",
    "oracle": "oracle (knows the checker)",
}
_THRESHOLDS: Final[Mapping[str, str]] = {"stepwise": "TRIM-Thr", "pipelined": "TRIM-Thr"}


def policy_label(name: str, strategy: object) -> str:
    """A policy under a run's strategy as people know it: the paper's name if it has one, else its own."""
    if name == "threshold":
        return _THRESHOLDS.get(str(strategy), name)
    if name.startswith("single:"):
        return f"always {name.removeprefix('single:')}"
    return _POLICIES.get(name, name)


def percent(value: float | None) -> str:
    """A share as a percentage; None is "not reached"."""
    return NOT_REACHED if value is None else f"{100 * value:.1f} %"


def percent_interval(value: float | None, interval: tuple[float | None, float | None]) -> str:
    """A share with its 95 % interval."""
    low, high = ("∞" if end is None else f"{100 * end:.1f}" for end in interval)
    return f"{percent(value)} [{low}, {high}]"


def metric(metrics: Shown, name: str) -> str:
    """A metric of a summary, with its 95 % interval if it has one."""
    value, interval = metrics.get(name), metrics.get(f"{name}_ci95")
    assert not isinstance(value, tuple)
    if not isinstance(interval, tuple):
        return "–" if value is None else percent(value)
    if METRICS[name].is_share:
        return percent_interval(value, interval)
    low, high = ("∞" if end is None else f"{end:.2f}" for end in interval)
    return f"{'–' if value is None else f'{value:.2f}'} [{low}, {high}]"


def published_metric(metrics: Mapping[str, float | None], name: str) -> str:
    """A metric of a curve that has no intervals; a dash for one that the curve does not determine."""
    if name not in metrics:
        return "–"
    value = metrics[name]
    return percent(value) if value is None or METRICS[name].is_share else f"{value:.2f}"


def dollars(value: float) -> str:
    """Dollars with about four significant digits, never in exponent form."""
    if value == 0:
        return "$0"
    digits = max(2, 3 - math.floor(math.log10(abs(value))))
    return f"${value:.{digits}f}"
