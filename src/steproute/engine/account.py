"""A problem's account under way: each call is entered once and settled once."""

from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from steproute.core.concurrency import gather_or_cancel
from steproute.core.usage import AccountLine, Purpose

_T = TypeVar("_T")
_PLACE: Final[ContextVar[tuple[int, ...]]] = ContextVar("place", default=())
"""Where the running call stands among those that were started at once."""


@dataclass(slots=True)
class _Entry:
    line: AccountLine
    place: tuple[int, ...]


class Account:
    """Lines in the order of their calls. A draft's line reads as discarded until the draft is accepted."""

    def __init__(self, on_entered: Callable[[AccountLine], None]) -> None:
        self._entries: list[_Entry] = []
        self._open: dict[Hashable, list[_Entry]] = {}
        self._on_entered = on_entered

    @property
    def lines(self) -> tuple[AccountLine, ...]:
        """All lines so far."""
        return tuple([entry.line for entry in self._entries])

    @property
    def spent_usd(self) -> Decimal:
        """Dollars of all lines so far."""
        return sum((entry.line.cost_usd for entry in self._entries), Decimal(0))

    @property
    def output_tokens(self) -> int:
        """Tokens that models have generated so far, without what scorers wrote."""
        return sum(line.usage.output_tokens for line in self.lines if line.purpose is not Purpose.SCORE)

    def tokens_of(self, role: str) -> int:
        """Tokens that a model's role has generated so far."""
        lines = (line for line in self.lines if line.role == role and line.purpose is not Purpose.SCORE)
        return sum(line.usage.output_tokens for line in lines)

    def enter(self, line: AccountLine, key: Hashable = None) -> None:
        """Add a call's line; one with a key, such as a draft's id, can still be settled by it."""
        entry = _Entry(line, _PLACE.get())
        if key is not None:
            self._open.setdefault(key, []).append(entry)
        self._entries.append(entry)
        self._on_entered(line)

    def settle(self, key: Hashable, purpose: Purpose) -> None:
        """Set the purpose of the calls under a key, if there are any."""
        for entry in self._open.get(key, ()):
            entry.line = replace(entry.line, purpose=purpose)

    async def at_once(self, *calls: Coroutine[Any, Any, _T]) -> list[_T]:
        """`gather_or_cancel`, with the lines in the order of the calls, whichever of them ends first."""
        begun, depth = len(self._entries), len(_PLACE.get())

        async def placed(number: int, call: Coroutine[Any, Any, _T]) -> _T:
            _PLACE.set((*_PLACE.get(), number))
            return await call

        try:
            return await gather_or_cancel(*(placed(number, call) for number, call in enumerate(calls)))
        finally:
            self._entries[begun:] = sorted(self._entries[begun:], key=lambda entry: entry.place[depth : depth + 1])
