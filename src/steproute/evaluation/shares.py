"""What a point takes beside always-strong, as cells of a table: dollars first where there are any."""

from typing import Final

from steproute.evaluation.formatting import percent
from steproute.evaluation.headline import is_priced, is_timed
from steproute.evaluation.summary import Point, Summary

_SLOW_S: Final = 100


def share_names(summary: Summary) -> tuple[str, str, str]:
    """The columns of `shares`."""
    return ("dollars", "tokens", "time") if is_priced(summary) else ("tokens", "dollars", "time")


def shares(summary: Summary, point: Point) -> tuple[str, str, str]:
    """Dollars, strong tokens and time as shares of what always-strong takes."""
    tokens, strong = percent(point.strong_share), summary.strong
    time = percent(point.latency_s / strong.latency_s) if is_timed(summary) else "–"
    if not is_priced(summary):
        return tokens, "–", time
    return percent(point.cost_usd / strong.cost_usd), tokens, time


def seconds(summary: Summary, point: Point) -> str:
    """Seconds per problem; a dash if the models took no time that was measured."""
    if not is_timed(summary):
        return "–"
    return f"{point.latency_s:.{2 if point.latency_s < _SLOW_S else 0}f}"
