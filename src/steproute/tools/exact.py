"""The exact value of an arithmetic expression: numbers, + - * / and powers, brackets, fractions, exact roots,
percentages, factorials and binomial coefficients, in plain text and in LaTeX. Nothing is executed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb, factorial, isqrt
from typing import Final

from steproute.tools.tokens import Kind, Token, tokens_of

_GREATEST: Final = 10**60
_GREATEST_EXPONENT: Final = 1_000
_GREATEST_FACTORIAL: Final = 40
_DEEPEST: Final = 60
_ADDITION: Final[Mapping[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": Fraction.__add__,
    "-": Fraction.__sub__,
}


class NotExact(ValueError):
    """An expression without an exact value, or none at all; the message says why."""


@dataclass(slots=True)
class Value:
    """An expression's value and how it is written.

    operations: how many. doubtful: readers could disagree about its meaning, as about 2 1/3 or 1/2(3). decimals: it has
    numbers with a decimal point, which may be rounded. percent: it has a percentage. place: of the last decimal of a
    single number.
    """

    number: Fraction = Fraction(0)
    operations: int = 0
    doubtful: bool = False
    decimals: bool = False
    percent: bool = False
    place: int | None = None
    units: list[str] = field(default_factory=list)


def value_of_text(text: str) -> Fraction:
    """The exact value of all of `text`. Raises NotExact, and ZeroDivisionError."""
    return value_of(tokens_of(text)).number


def value_of(tokens: Sequence[Token]) -> Value:
    """The exact value of an expression. Raises NotExact, and ZeroDivisionError."""
    reader = _Reader(tokens)
    number = reader.sum()
    if reader.next is not None:
        raise NotExact("use numbers, + - * / ^ and brackets")
    reader.value.number = number
    if len(tokens) == 1:
        reader.value.place = tokens[0].place
    return reader.value


def spelled(number: Fraction) -> str:
    """A whole number, a decimal if six places hold it exactly, else a fraction."""
    if number.denominator == 1:
        return str(number.numerator)
    scaled = number * 10**6
    if scaled.denominator != 1:
        return str(number)
    whole, rest = divmod(abs(scaled.numerator), 10**6)
    return f"{'-' if number < 0 else ''}{whole}.{rest:06}".rstrip("0")


class _Reader:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0
        self.value = Value()

    @property
    def next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def sum(self) -> Fraction:
        total = self._product()
        while (sign := self._take("+", "-")) is not None:
            self.value.operations += 1
            total = _bounded(_ADDITION[sign](total, self._product()))
        return total

    def _product(self) -> Fraction:
        total, divided = self._signed(), False
        while True:
            if self._take("*"):
                total *= self._counted(self._signed())
            elif self._take("/"):
                total, divided = total / self._counted(self._signed()), True
            elif self._is_juxtaposed():
                self.value.doubtful |= divided
                total *= self._counted(self._power())
            else:
                return total
            total = _bounded(total)

    def _is_juxtaposed(self) -> bool:
        """Whether a factor follows without a sign, as in 2(3) and (2)3."""
        token, before = self.next, self._tokens[self._at - 1]
        if token is None:
            return False
        if token.kind is Kind.OPEN:
            return True
        if token.kind is Kind.FUNCTION and token.text == "frac" and before.kind is Kind.NUMBER:
            self.value.doubtful = True  # 2½, or two times a half
        is_factor = token.kind is Kind.FUNCTION or (token.kind is Kind.NUMBER and before.kind is Kind.CLOSE)
        return is_factor and before.kind in (Kind.CLOSE, Kind.NUMBER, Kind.SIGN)

    def _signed(self) -> Fraction:
        negative, sign = False, self._take("+", "-")
        while sign is not None:
            negative ^= sign == "-"
            self.value.doubtful |= self._is_power_of_number()
            sign = self._take("+", "-")
        return -self._power() if negative else self._power()

    def _is_power_of_number(self) -> bool:
        """Whether the sign before it may belong to the base, as in -2^2."""
        ahead = self._tokens[self._at : self._at + 2]
        return len(ahead) == 2 and ahead[0].kind is Kind.NUMBER and ahead[1].text == "^"

    def _power(self) -> Fraction:
        base = self._postfixed(self._atom())
        if self._take("^") is None:
            return base
        return self._postfixed(self._counted(_power(base, self._exponent())))

    def _exponent(self) -> Fraction:
        negative = self._take("-") is not None
        exponent = self._atom()
        if self.next is not None and self.next.text == "^":
            raise NotExact("a power of a power is too large")
        return -exponent if negative else exponent

    def _postfixed(self, number: Fraction) -> Fraction:
        while (token := self.next) is not None:
            if token.kind is Kind.TEXT:
                self.value.units.append(token.text)
            elif token.kind is Kind.SIGN and token.text == "%":
                self.value.percent, number = True, number / 100
            elif token.kind is Kind.SIGN:
                number = self._counted(_factorial(number))
            else:
                return number
            self._at += 1
        return number

    def _atom(self) -> Fraction:
        token = self.next
        if token is None:
            raise NotExact("it ends too early")
        self._at += 1
        if token.value is not None:
            self.value.decimals |= token.place is not None
            return _bounded(token.value)
        if token.kind is Kind.OPEN:
            return self._group(token)
        if token.kind is Kind.FUNCTION:
            return self._function(token.text)
        raise NotExact("use numbers, + - * / ^ and brackets")

    def _group(self, opening: Token) -> Fraction:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotExact("it has too many brackets")
        number = self.sum()
        self._depth -= 1
        closing, self._at = self.next, self._at + 1
        if closing is None or closing.text != {"(": ")", "[": "]", "{": "}"}[opening.text]:
            raise NotExact("a bracket is not closed")
        return number

    def _function(self, name: str) -> Fraction:
        match name:
            case "frac":
                above = self._argument()
                return above / self._counted(self._argument())
            case "sqrt":
                return self._counted(_root(*self._radicand()))
            case "binom":
                return self._counted(_binomial(self._argument(), self._argument()))
        raise NotExact(f"{name} has no exact value")

    def _radicand(self) -> tuple[Fraction, Fraction]:
        degree = Fraction(2)
        if self.next is not None and self.next.text == "[":
            degree = self._atom()
        return self._argument("{("), degree

    def _argument(self, brackets: str = "{") -> Fraction:
        token = self.next
        if token is None or not (token.text in brackets or token.kind is Kind.NUMBER):
            raise NotExact("an argument is missing")
        return self._atom()

    def _counted(self, number: Fraction) -> Fraction:
        self.value.operations += 1
        return number

    def _take(self, *texts: str) -> str | None:
        token = self.next
        if token is None or token.kind is not Kind.OPERATOR or token.text not in texts:
            return None
        self._at += 1
        return token.text


def _bounded(number: Fraction) -> Fraction:
    if max(abs(number.numerator), number.denominator) > _GREATEST:
        raise NotExact("a number is too large")
    return number


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return _power(_root(base, Fraction(exponent.denominator)), Fraction(exponent.numerator))
    size = max(abs(base.numerator), base.denominator).bit_length()
    if abs(exponent) > _GREATEST_EXPONENT or size * abs(exponent) > 2 * _GREATEST.bit_length():
        raise NotExact("a number is too large")
    if not base and exponent <= 0:
        raise NotExact("zero has no such power")
    return _bounded(base**exponent.numerator)


def _root(number: Fraction, degree: Fraction) -> Fraction:
    if degree.denominator != 1 or not 2 <= degree <= 10 or number < 0:
        raise NotExact("the root is no real number")
    above, below = (_whole_root(part, degree.numerator) for part in (number.numerator, number.denominator))
    return Fraction(above, below)


def _whole_root(number: int, degree: int) -> int:
    root = isqrt(number) if degree == 2 else round(number ** (1 / degree))
    if root**degree != number:
        raise NotExact("the root is irrational")
    return root


def _factorial(number: Fraction) -> Fraction:
    if number.denominator != 1 or not 0 <= number <= _GREATEST_FACTORIAL:
        raise NotExact("a factorial is too large")
    return Fraction(factorial(number.numerator))


def _binomial(n: Fraction, k: Fraction) -> Fraction:
    if n.denominator != 1 or k.denominator != 1 or not 0 <= k <= 200 or not 0 <= n <= 200:
        raise NotExact("a binomial coefficient is too large")
    return _bounded(Fraction(comb(n.numerator, k.numerator)))
