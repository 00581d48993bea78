"""Tokens and money: what a call used, what it costs, and the account lines that say so."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

_PER_MILLION: Final = Decimal(1_000_000)
_LONG_WRITE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call as the backend reported them; `estimated` if it reported none.

    `input_tokens` are uncached; `reasoning_tokens` are a part of `output_tokens`, not an addition to them, and so are
    `cache_write_1h_tokens` of `cache_write_tokens`: those that a cache keeps for an hour.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )

    @property
    def read_tokens(self) -> int:
        """All tokens that the model read, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


NOTHING_USED: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens, exact. `table` names the price table and its date."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    table: str = "unnamed"
    cache_write_1h: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Exact cost in US dollars. Cache prices that are not given are the input price.

        What is written for an hour costs twice the input price if no price is given.
        Source: Anthropic, Prompt caching, "Pricing".
        """
        cache_read = self.input if self.cache_read is None else self.cache_read
        cache_write = self.input if self.cache_write is None else self.cache_write
        long = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
        total = (
            self.input * usage.input_tokens
            + cache_read * usage.cache_read_tokens
            + cache_write * (usage.cache_write_tokens - long)
            + self.hour_write * long
            + self.output * usage.output_tokens
        )
        return total / _PER_MILLION

    def most(self, usage: Usage) -> Decimal:
        """The most that the usage can cost, each token that is read at the highest price of reading."""
        long = self.hour_write if usage.cache_write_1h_tokens else Decimal(0)
        read = max(self.input, self.cache_read or Decimal(0), self.cache_write or Decimal(0), long)
        return (read * usage.read_tokens + self.output * usage.output_tokens) / _PER_MILLION

    @property
    def hour_write(self) -> Decimal:
        """The price of what a cache keeps for an hour: as given, or twice that of input."""
        return _LONG_WRITE * self.input if self.cache_write_1h is None else self.cache_write_1h

    @property
    def is_set(self) -> bool:
        """Whether a price was given, zero included."""
        return self.table != UNSET.table


FREE: Final = Price(input=Decimal(0), output=Decimal(0), table="free")
UNSET: Final = Price(input=Decimal(0), output=Decimal(0), table="not set")


class Purpose(StrEnum):
    """What became of the tokens of one call."""

    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"
    SCORE = "score"
    GRADE = "grade"
    RETRY = "retry"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """One model call on a problem's account: who, what for, tokens, dollars and seconds.

    wait_s: how long the call waited for its slot at the backend, not a part of `latency_s`.
    """

    role: str
    model: str
    purpose: Purpose
    usage: Usage
    cost_usd: Decimal
    price_table: str
    latency_s: float
    request_id: str = ""
    wait_s: float = 0.0
