"""The months, days and seconds in which a tenant's spending is counted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

Span = Literal["month", "day", "second"]
MINUTE_S: Final = 60


class WindowKey(NamedTuple):
    """A tenant's month, day or second. start_s: seconds since 1970, in UTC."""

    tenant: str
    span: Span
    start_s: int


@dataclass(slots=True)
class Window:
    """What was spent in it and what is reserved, in units of 10^-12 US dollars and in tokens."""

    spent_usd: int = 0
    reserved_usd: int = 0
    spent_tokens: int = 0
    reserved_tokens: int = 0
    requests: int = 0
    is_new: bool = True
    changed: bool = False

    def reserve(self, usd: int, tokens: int) -> None:
        """Hold an amount for one more request."""
        self.reserved_usd += usd
        self.reserved_tokens += tokens
        self.requests += 1
        self.changed = True

    def release(self, usd: int, tokens: int) -> None:
        """Give up a part of what is held."""
        self.reserved_usd -= usd
        self.reserved_tokens -= tokens
        self.changed = True

    def spend(self, usd: int, tokens: int) -> None:
        """Count what a call has cost."""
        self.spent_usd += usd
        self.spent_tokens += tokens
        self.changed = True


def month_start_s(now_s: int) -> int:
    """The first second of the month in UTC."""
    return _seconds(_day(now_s).replace(day=1))


def day_start_s(now_s: int) -> int:
    """The first second of the day in UTC."""
    return _seconds(_day(now_s))


def end_s(span: Span, start_s: int) -> int:
    """The first second after a month or day."""
    days = 1 if span == "day" else 32
    end = datetime.fromtimestamp(start_s, UTC) + timedelta(days=days)
    return _seconds(end if span == "day" else end.replace(day=1))


def newest(windows: Iterable[tuple[WindowKey, Window]], now_s: int) -> list[tuple[int, Window]]:
    """The seconds that count for a rate per minute, oldest first: none is left out that ended within 60 s."""
    return sorted((key.start_s, window) for key, window in windows if key.start_s >= now_s - MINUTE_S)


def _day(now_s: int) -> datetime:
    return datetime.fromtimestamp(now_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
