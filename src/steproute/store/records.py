"""Rows of requests, prices and lines as objects."""

from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Final, Literal

from steproute.core.errors import ConfigError
from steproute.core.usage import AccountLine, Price
from steproute.core.writable import writable
from steproute.store.money import exact_units, price_units

MOST_TOKENS: Final = 2**53
State = Literal["open", "overdue", "closed", "expired"]
HELD: Final = ("open", "overdue")
"""States in which a request's money is reserved. `overdue`: its lease has ended, and its owner may yet come back."""


@dataclass(slots=True, kw_only=True)
class Request:
    """A request and what is still reserved for it; its fields are the columns. lines: how many have been settled."""

    id: str
    tenant: str
    key_id: str
    route: str
    worker: str
    state: State
    month_s: int
    day_s: int
    second_s: int
    asked_usd: int
    asked_tokens: int
    reserved_usd: int
    reserved_tokens: int
    unaccounted_usd: int = 0
    baseline_usd: int = 0
    lines: int = 0
    created_ms: int
    expires_ms: int
    closed_ms: int | None = None


REQUEST_FIELDS: Final = tuple(each.name for each in fields(Request))


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One version of a price: its row and the id that its content gives it."""

    id: str
    row: dict[str, Any]

    @classmethod
    def of(cls, price: Price) -> "PriceRow":
        """Raises ConfigError that names the price if the ledger cannot hold it exactly."""
        row = {"price_table": plain(price.table)} | price_units(price)
        key = sha256(repr(row).encode()).hexdigest()[:32]
        return cls(key, {"id": key, **row})


@dataclass(frozen=True, slots=True)
class LineRow:
    """A billed call, ready to insert but for where it belongs."""

    cost_usd: int
    tokens: int
    price: PriceRow | None
    values: dict[str, Any]

    @classmethod
    def of(cls, line: AccountLine, price: PriceRow | None) -> "LineRow":
        """Raises ConfigError that names the line's role if the ledger cannot hold its cost or its tokens."""
        usage, cost_usd = line.usage, exact_units(line.cost_usd, f"the cost of a call of role {line.role!r}")
        counts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens)
        if min(counts) < 0 or sum(counts) > MOST_TOKENS or not 0 <= usage.reasoning_tokens <= MOST_TOKENS:
            raise ConfigError(
                f"{counts} are no numbers of tokens.",
                where=f"the usage of a call of role {line.role!r}",
                remedy="Check what the backend reports.",
            )
        values = {
            "role": plain(line.role),
            "model": plain(line.model),
            "purpose": str(line.purpose),
            "input_tokens": usage.input_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "cache_write_1h_tokens": usage.cache_write_1h_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "estimated": int(usage.estimated),
            "cost_usd": cost_usd,
            "price_table": plain(line.price_table),
            "price_id": price.id if price else None,
            "latency_s": line.latency_s,
            "wait_s": line.wait_s,
            "upstream_id": plain(line.request_id),
        }
        return cls(cost_usd, usage.output_tokens, price, values)


def plain(text: str) -> str:
    """The text as both databases can hold it: neither has lone surrogates, and PostgreSQL no NUL."""
    return writable(text).replace("\0", "\\x00")
