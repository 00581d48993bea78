"""Budget pacing: the knob follows what a tenant has left of its budget, and of the time that it is for."""

from collections.abc import Iterable
from datetime import datetime

from steproute.store import Balance


def paced_knob(knobs: tuple[float, float], balances: Iterable[Balance], now: datetime) -> float:
    """The knob between `knobs` at which a tenant spends what it has left by the end of each window.

    knobs: of a tenant that has at least as large a share of its budget left as of the window's time, and of one that
    has nothing left. In between it is linear in the ratio of the two shares, of the window with the least.
    """
    ample, empty = knobs
    pace = min((_pace(balance, now) for balance in balances), default=1.0)
    return empty + (ample - empty) * pace


def _pace(balance: Balance, now: datetime) -> float:
    """The share of dollars left over the share of time left, at most 1; 1 if there is no budget."""
    if balance.left_usd is None or not balance.limit_usd:
        return 1.0
    money = float(balance.left_usd / balance.limit_usd)
    time = (balance.ends - now) / (balance.ends - balance.starts)
    return min(1.0, money / max(time, 1e-9))
