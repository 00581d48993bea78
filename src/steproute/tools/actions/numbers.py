"""Tools for numbers: calculate, mod, base_conversion."""

import sympy

from steproute.tools.actions.formula import ToolFailed, read_expression, written

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def calculate(expression: str) -> str:
    """The exact value, or the formula in its simplest form."""
    return written(sympy.simplify(read_expression(expression)))


def mod(number: str, modulus: str) -> str:
    """The remainder of a division of whole numbers."""
    left, right = read_expression(number), read_expression(modulus)
    if not (left.is_Integer and right.is_Integer) or not right:
        raise ToolFailed("mod takes two whole numbers")
    return written(left % right)


def base_conversion(number: str, old: str, new: str) -> str:
    """A whole number, written in base `old`, in base `new`; bases from 2 to 36."""
    bases = int(old), int(new)
    if not all(2 <= base <= 36 for base in bases):
        raise ToolFailed("bases are from 2 to 36")
    value, digits = int(number, bases[0]), ""
    sign, value = "-" if value < 0 else "", abs(value)
    while value:
        value, digit = divmod(value, bases[1])
        digits = _DIGITS[digit] + digits
    return sign + (digits or "0")
