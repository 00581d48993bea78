"""A problem's account under way: each call is entered once and settled once."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from decimal import Decimal

from steproute.core.usage import AccountLine, Purpose


class Account:
    """Lines in the order of their calls. A draft's line reads as discarded until the draft is accepted."""

    def __init__(self, on_entered: Callable[[AccountLine], None]) -> None:
        self._lines: list[AccountLine] = []
        self._open: dict[Hashable, list[int]] = {}
        self._on_entered = on_entered

    @property
    def lines(self) -> tuple[AccountLine, ...]:
        """All lines so far."""
        return tuple(self._lines)

    @property
    def spent_usd(self) -> Decimal:
        """Dollars of all lines so far."""
        return sum((line.cost_usd for line in self._lines), Decimal(0))

    @property
    def output_tokens(self) -> int:
        """Tokens that models have generated so far, without what scorers wrote."""
        return sum(line.usage.output_tokens for line in self._lines if line.purpose is not Purpose.SCORE)

    def tokens_of(self, role: str) -> int:
        """Tokens that a model's role has generated so far."""
        lines = (line for line in self._lines if line.role == role and line.purpose is not Purpose.SCORE)
        return sum(line.usage.output_tokens for line in lines)

    def enter(self, line: AccountLine, key: Hashable = None) -> None:
        """Add a call's line; one with a key, such as a draft's id, can still be settled by it."""
        if key is not None:
            self._open.setdefault(key, []).append(len(self._lines))
        self._lines.append(line)
        self._on_entered(line)

    def settle(self, key: Hashable, purpose: Purpose) -> None:
        """Set the purpose of the calls under a key, if there are any."""
        for index in self._open.get(key, ()):
            self._lines[index] = replace(self._lines[index], purpose=purpose)
