"""How long a problem took, as far as it says something about the models."""

from steproute.core.trace import Trace


def measured_seconds(trace: Trace) -> float:
    """Wall-clock seconds from start to end, with whatever else was in flight; 0 if no call took any time."""
    return trace.latency_s if called_seconds(trace) else 0.0


def called_seconds(trace: Trace) -> float:
    """Seconds of all calls, one after the other: for steps from a tree, which keeps how long each took once."""
    return sum(line.latency_s for line in trace.account)
