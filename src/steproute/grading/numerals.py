"""Numbers as people write them, read exactly."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_MOST_DIGITS: Final = 2_000
_EXPONENT: Final = 5_000
_LEAST_SIGNIFICANT: Final = 6
_INTEGER: Final = re.compile(r"([+-]?)0*(\d+)", re.ASCII)
_UNSIGNED: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
_POWER_OF_TEN: Final = r"\\cdot10\^\{([+-]?\d{1,6})\}"
_DECIMAL: Final = re.compile(rf"([+-]?)({_UNSIGNED})(?:{_POWER_OF_TEN})?")
_ONE_POWER: Final = re.compile(r"([+-]?)10\^\{([+-]?\d{1,6})\}")
_REPEATING: Final = re.compile(
    r"([+-]?)(\d*)\.(\d*)(?:\\(?:overline|bar|overbar)\{(\d+)\}|\((\d+)\)|\\dot\{(\d)\}(?:(\d*)\\dot\{(\d)\})?)"
)
_ENDLESS: Final = re.compile(r"([+-]?\d*\.\d*?)(\d{1,8}?)\2{2,}\\dots")
_FRACTION: Final = re.compile(
    r"([+-]?)(\d*)\\frac\{([+-]?[^{}]+)\}\{([+-]?[^{}]+)\}|([+-]?[\d.]+)/([+-]?[\d.]+)|([+-]?)\(([^()]+)\)/\(?([^()]+)\)?"
)


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number, exactly; `place` is the power of ten of its last decimal, None for a number without a decimal point."""

    value: Fraction
    place: int | None = None

    @property
    def significant(self) -> int:
        """Significant digits of a number with decimals."""
        if self.place is None:
            return 0
        return len(str(abs(self.value / Fraction(10) ** self.place).numerator))


def read_numeral(text: str) -> Numeral | None:
    """The number that all of `text` is, in normal form and without spaces; None if it is none or unreasonably long."""
    if len(text) > _MOST_DIGITS:
        return None
    if (whole := _ONE_POWER.fullmatch(text)) is not None:
        return _scaled(Fraction(-1 if whole[1] == "-" else 1), int(whole[2]), None)
    if (decimal := _DECIMAL.fullmatch(text)) is not None:
        return _decimal(decimal)
    if (repeating := _REPEATING.fullmatch(text)) is not None:
        return _repeating(repeating)
    if (endless := _ENDLESS.fullmatch(text)) is not None:
        return read_numeral(f"{endless[1]}\\overline{{{endless[2]}}}")
    if (fraction := _FRACTION.fullmatch(text)) is not None:
        return _fraction(fraction)
    return None


def equal_numerals(one: Numeral, other: Numeral) -> bool:
    """Exactly equal, or equal once the number with more digits is rounded to those of one with decimals, which has six
    significant digits at least."""
    return one.value == other.value or rounds_to(one.value, other) or rounds_to(other.value, one)


def rounds_to(value: Fraction, numeral: Numeral) -> bool:
    """Whether `value` gives `numeral` when it is rounded to the same place."""
    if numeral.place is None or numeral.significant < _LEAST_SIGNIFICANT:
        return False
    return 2 * abs(value - numeral.value) <= Fraction(10) ** numeral.place


def same_integer(one: str, other: str) -> bool | None:
    """Whether two integers of any length are the same; None if one of them is no integer."""
    left, right = _INTEGER.fullmatch(one), _INTEGER.fullmatch(other)
    if left is None or right is None:
        return None
    signs = [match[2] != "0" and match[1] == "-" for match in (left, right)]
    return left[2] == right[2] and signs[0] == signs[1]


def _decimal(match: re.Match[str]) -> Numeral | None:
    sign, digits, power = match[1], match[2], int(match[3] or 0)
    decimals = digits.partition(".")[2]
    value = Fraction(digits.rstrip(".")) * (-1 if sign == "-" else 1)
    return _scaled(value, power, -len(decimals) if decimals else None)


def _scaled(value: Fraction, power: int, place: int | None) -> Numeral | None:
    if abs(power) > _EXPONENT:
        return None
    return Numeral(value * Fraction(10) ** power, None if place is None else place + power)


def _repeating(match: re.Match[str]) -> Numeral:
    sign, whole, fixed = match[1], match[2], match[3]
    period = match[4] or match[5] or match[6] + ((match[7] or "") + match[8] if match[8] else "")
    scale = 10 ** len(fixed)
    value = Fraction(int(f"{whole or 0}{fixed}"), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))
    return Numeral(-value if sign == "-" else value)


def _fraction(match: re.Match[str]) -> Numeral | None:
    mixed, sign = match[2], match[1] or match[7] or ""
    above = read_numeral(match[3] or match[5] or match[8])
    below = read_numeral(match[4] or match[6] or match[9])
    if above is None or below is None or not below.value:
        return None
    value = above.value / below.value
    if mixed:
        if above.place is not None or below.place is not None or not 0 <= value < 1:
            return None
        value += int(mixed)
    return Numeral(-value if sign == "-" else value)
