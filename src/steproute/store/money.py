"""Exact dollars as whole numbers: one unit is 10^-12 US dollars, so that databases add and compare them exactly."""

from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.usage import Price

UNITS_PER_USD: Final = 10**12
SPLIT: Final = 10**6
MOST_UNITS: Final = 9 * 10**18  # below 2^63, the largest whole number of both databases
_PER_TOKEN: Final = 10**6  # dollars per million tokens, in units per token
_DIGITS: Final = 60


def exact_units(usd: Decimal, where: str) -> int:
    """Dollars in units. Raises ConfigError that names `where` for negative, too large or finer amounts."""
    return _whole(usd, UNITS_PER_USD, where, "US dollars", 12)


def units_of_at_least(usd: Decimal, where: str) -> int:
    """Dollars in units, rounded up. Raises ConfigError that names `where` for negative or too large amounts."""
    with localcontext(prec=_DIGITS):
        units = int((usd * UNITS_PER_USD).to_integral_value(ROUND_CEILING)) if usd.is_finite() else -1
    return _checked(units, usd, where)


def usd_of(units: int) -> Decimal:
    """Units in dollars, exact."""
    with localcontext(prec=_DIGITS):
        return Decimal(units).scaleb(-12)


def price_units(price: Price) -> dict[str, int]:
    """Units per token by the column of the price. Cache prices that are not given are those that `Price.cost` takes.

    Raises ConfigError that names the price if it has more than 6 decimals per million tokens.
    """
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    named = {
        "input": price.input,
        "output": price.output,
        "cache_read": read,
        "cache_write": write,
        "cache_write_1h": price.hour_write,
    }
    return {
        name: _whole(usd, _PER_TOKEN, f"price table {price.table!r}, {name}", "US dollars per million tokens", 6)
        for name, usd in named.items()
    }


def joined(high: int, low: int) -> int:
    """A sum out of the sums of amounts // SPLIT and of amounts % SPLIT, which cannot overflow in a database."""
    return int(high) * SPLIT + int(low)


def _whole(usd: Decimal, scale: int, where: str, unit: str, decimals: int) -> int:
    with localcontext(prec=_DIGITS):
        scaled = usd * scale if usd.is_finite() else Decimal(-1)
        if scaled != scaled.to_integral_value():
            raise ConfigError(
                f"{usd} {unit} has more than {decimals} decimals, which the ledger cannot hold exactly.",
                where=where,
                remedy=f"Round it to {decimals} decimals.",
            )
        return _checked(int(scaled), usd, where)


def _checked(units: int, usd: Decimal, where: str) -> int:
    if not 0 <= units <= MOST_UNITS:
        raise ConfigError(f"{usd} is not between 0 and 9 million US dollars.", where=where, remedy="Correct it.")
    return units
