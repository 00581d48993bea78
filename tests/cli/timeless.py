"""A summary without what a clock, a name, a kill or the history of a run decides."""

from typing import Any


def timeless(summary: dict[str, Any]) -> dict[str, Any]:
    """summary.json, or the fields of a Summary, for comparing two runs."""
    for part in (summary, *summary["baselines"]):
        for reached in part["operating_points"]:
            del reached["latency"], reached["latency_ci95"]
        for point in part["points"]:
            del point["latency_s"]
    for anchor in ("weak", "strong"):
        del summary[anchor]["latency_s"]
    del summary["settings"]["name"]
    history = ("name", "contents", "interrupted_usd", "paid_usd")
    return {name: value for name, value in summary.items() if name not in history}
