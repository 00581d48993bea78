"""A summary in words and cells of tables, in the terminal as in the report."""

from collections.abc import Mapping
from typing import Final

from steproute.evaluation.formatting import dollars, percent
from steproute.evaluation.headline import is_priced, is_timed
from steproute.evaluation.summary import Point, Summary

_SLOW_S: Final = 100


def bill(summary: Summary) -> str:
    """What a run cost in all, and for what; with a step tree also what its routes were billed."""
    parts = {
        "for results": summary.spent_usd,
        "for interrupted attempts": summary.interrupted_usd,
        "for grading, which is no part of any route's cost": summary.grading_usd,
    }
    if summary.paid_usd is None:
        return paid_for(parts)
    attempts = "" if not summary.interrupted_usd else f" and to interrupted attempts {dollars(summary.interrupted_usd)}"
    grading = "" if not summary.grading_usd else f", {dollars(summary.grading_usd)} of it for grading"
    billed = f"billed to routes {dollars(summary.spent_usd)}{attempts}"
    return f"{billed}, paid {dollars(summary.paid_usd)} (shared steps once){grading}"


def paid_for(parts: Mapping[str, float]) -> str:
    """The sum of dollars by what they were paid for, then each of them if there are several."""
    paid = {what: usd for what, usd in parts.items() if usd}
    total = f"paid {dollars(sum(parts.values()))}"
    return f"{total}: {', '.join(f'{dollars(usd)} {what}' for what, usd in paid.items())}" if len(paid) > 1 else total


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
