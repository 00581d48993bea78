"""What a command was paid for, in one total and its parts, in the terminal as in the report."""

from collections.abc import Mapping

from steproute.evaluation.formatting import dollars
from steproute.evaluation.summary import Summary


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
