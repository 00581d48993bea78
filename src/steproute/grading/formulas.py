"""Whether two formulas are equal: read whole by math-verify's parser, compared by value. Runs in the worker only."""

import random
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import mpmath
import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy
from latex2sympy2_extended.logic import And
from math_verify.grader import should_treat_as_complex
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from steproute.grading.numerals import Numeral, read_numeral, rounds_to

_CONVERSION: Final = ConversionConfig(lowercase_symbols=False)
_FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_DIGITS: Final = 50
_SCALE: Final = 10**40
_PROOF_DIGITS: Final = 800
_SCALES: Final = (1, 23, 1, -1)
_WHOLE_POINTS: Final = 32
_STEPPED: Final = (sympy.floor, sympy.ceiling, sympy.Mod, sympy.frac, sympy.sign)
_VARIABLE_E: Final = re.compile(r"(?<![A-Za-z\\])E(?![A-Za-z])")
_PRIME: Final = re.compile(r"([A-Za-z])('+)")
_DERIVATIVE: Final = re.compile(r"[)\]}]\s*'")  # the parser skips the prime
_OF_NUMBERS: Final = r"[(\[](?:[\d.+*/^ {}-]|\\(?:frac|cdot|times))*[)\]]"
_BEFORE: Final = r"(?<![\w^_.\\])\d+(?:\.\d+)?|[)\]!]|\\binom\{[^{}]*\}\{[^{}]*\}"
_FACTOR: Final = re.compile(rf"({_BEFORE}) ?(?={_OF_NUMBERS})|([)\]]) ?(?=\d)")
_MIXED: Final = re.compile(r"(?<![\w.])(\d+) (\d+) ?/ ?(\d+)")
_TWO_NUMERALS: Final = re.compile(r"\d \.?\d")
_TEXT_INDEX: Final = re.compile(r"_\{\s*\\text\{\s*([A-Za-z]+)\s*\}\s*\}")


def equal(one: str, other: str) -> bool:
    """Whether two formulas have the same value everywhere; False if one of them cannot be read to its end.

    A decimal with six significant digits or more equals an exact number that rounds to it.
    """
    left, right = read_whole(one), read_whole(other)
    if left is None or right is None:
        return False
    if _relations(left) or _relations(right):
        return _same_relations(_relations(left), _relations(right))
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return bool(left == right)
    for numeral, rival in ((read_numeral(_squeezed(one)), right), (read_numeral(_squeezed(other)), left)):
        if numeral is not None and numeral.place is not None and not rival.free_symbols:
            return _rounds_to(rival, numeral) or _same_value(left, right)
    return _same_value(left, right)


@lru_cache(maxsize=512)
def read_whole(text: str) -> Any:
    """The SymPy object that all of `text` stands for; None if it cannot be read to its end."""
    text = _PRIME.sub(lambda match: f"{match[1]}_{{{'p' * len(match[2])}}}", _TEXT_INDEX.sub(r"_{\1}", text))
    text = _VARIABLE_E.sub(r"\\Upsilon ", text)
    text = _FACTOR.sub(lambda match: f"{match[1] or match[2]} \\cdot ", text)  # the parser takes 2(63) for 2 + 63
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    if "\\text" in text or _TWO_NUMERALS.search(text) is not None or _DERIVATIVE.search(text) is not None:
        return None
    reader = _Latex2Sympy(None, not should_treat_as_complex(text), False, config=_CONVERSION)
    try:
        return _exact(reader.parse(text))
    except (Exception, RecursionError):  # the parser raises plain Exception for what it cannot read to its end
        return None


def _squeezed(text: str) -> str:
    return text.replace(" ", "")


def _exact(value: Any) -> Any:
    """Decimals as the fractions that they are written as, functions of no meaning as variables."""
    if not isinstance(value, sympy.Basic):
        return value
    exact = {number: sympy.Rational(str(number)) for number in value.atoms(sympy.Float)}
    unknown = {call: sympy.Symbol(str(call)) for call in value.atoms(AppliedUndef)}
    return value.xreplace({**exact, **unknown})


def _same_value(one: sympy.Expr, other: sympy.Expr) -> bool:
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    if symbols:
        return _same_at_points(one, other, symbols)
    if one == other:
        return True
    left, right = _number(one), _number(other)
    if left is None or right is None or not _near(left, right, _DIGITS):
        return False
    exact = one.doit(), other.doit()
    if all(isinstance(each, sympy.Rational) for each in exact):
        return bool(exact[0] == exact[1])
    left, right = (_number(each, _PROOF_DIGITS) for each in exact)
    return left is not None and right is not None and _near(left, right, _PROOF_DIGITS)


def _same_at_points(one: sympy.Expr, other: sympy.Expr, symbols: list[sympy.Symbol]) -> bool:
    """Equal at points drawn with a fixed seed; those at which neither has a value do not count."""
    compared = 0
    stepped = one.has(*_STEPPED) or other.has(*_STEPPED)
    for point in [*_points(symbols), *(_whole_points(symbols) if stepped else [])]:
        left, right = _at(one, point), _at(other, point)
        if left is None and right is None:
            continue
        if left is None or right is None or not _near(left, right, _DIGITS):
            return False
        compared += 1
    return compared > 0


def _points(symbols: list[sympy.Symbol]) -> list[dict[sympy.Symbol, sympy.Rational]]:
    """Near and far from zero, so that rounded values differ, and negative, so that roots and signs do."""
    draw = random.Random(len(symbols))
    return [{symbol: sympy.Rational(scale * draw.randint(101, 399), 97) for symbol in symbols} for scale in _SCALES]


def _whole_points(symbols: list[sympy.Symbol]) -> list[dict[sympy.Symbol, sympy.Integer]]:
    """Successive whole numbers, since rounded values differ at some of them alone."""
    return [{symbol: sympy.Integer(n + place) for place, symbol in enumerate(symbols)} for n in range(_WHOLE_POINTS)]


def _at(value: sympy.Expr, point: Mapping[sympy.Symbol, sympy.Rational]) -> mpmath.mpc | None:
    return _number(value.xreplace({symbol: point[symbol] for symbol in value.free_symbols}))


def _number(value: sympy.Expr, digits: int = _DIGITS) -> mpmath.mpc | None:
    """The finite complex number that an expression is; None if it is none."""
    try:
        parts = [_part(part) for part in value.evalf(digits).as_real_imag()]
    except (ValueError, TypeError, ZeroDivisionError, AttributeError, NotImplementedError, ArithmeticError):
        return None
    if None in parts:
        return None
    with mpmath.workdps(digits):
        return mpmath.mpc(*parts)


def _part(part: sympy.Expr) -> mpmath.mpf | None:
    """A real number; what has no correct digit is the rest of a difference, and zero."""
    if isinstance(part, sympy.Float):
        return mpmath.mpf(0) if part._prec == 1 else part._to_mpmath(part._prec)
    if isinstance(part, sympy.Rational):
        return mpmath.mpf(part.p) / part.q
    return None


def _near(one: mpmath.mpc, other: mpmath.mpc, digits: int) -> bool:
    """Whether two numbers agree in all of `digits` but the last 20."""
    with mpmath.workdps(digits):
        return bool(abs(one - other) <= mpmath.mpf(10) ** (20 - digits) * max(abs(one), abs(other)))


def _rounds_to(value: sympy.Expr, numeral: Numeral) -> bool:
    number = _number(value)
    if number is None or number.imag:
        return False
    return rounds_to(Fraction(int(mpmath.floor(number.real * _SCALE)), _SCALE), numeral)


def _relations(value: Any) -> list[Relational]:
    if isinstance(value, Relational):
        return [value]
    if isinstance(value, And) and value._unsorted_args:
        return [inner for each in value._unsorted_args for inner in _relations(each)]
    return []


def _same_relations(left: list[Relational], right: list[Relational]) -> bool:
    """The same equations or inequalities, each multiplied by a number at most."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for each in left:
        twin = next((rival for rival in rest if _same_relation(each, rival)), None)
        if twin is None:
            return False
        rest.remove(twin)
    return True


def _same_relation(one: Relational, other: Relational) -> bool:
    left, right = one.lhs - one.rhs, other.lhs - other.rhs
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    pairs = [(_at(left, point), _at(right, point)) for point in _points(symbols)]
    with mpmath.workdps(_DIGITS):
        ratios = [a / b for a, b in pairs if a is not None and b is not None and b != 0]
    if not ratios or ratios[0] == 0 or not all(_near(ratio, ratios[0], _DIGITS) for ratio in ratios):
        return False
    operator = one.rel_op if ratios[0].real > 0 else _FLIPPED.get(one.rel_op, "")
    return bool(operator == other.rel_op)
