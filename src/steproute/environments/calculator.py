"""A calculator as a tool."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from steproute.core.ports import Response
from steproute.core.solution import Prefix

_CALL: Final = re.compile(r"calculate\(([^\n]*)\)\s*$")
_LONGEST: Final = 200
_GREATEST: Final = 10**12
_BINARY: Final[Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Calculator:
    """Answers a step that ends in `calculate(EXPRESSION)` with the expression's exact value.

    Expressions have numbers, + - * /, brackets and signs. Anything else, a division by zero or a number above 10^12 is
    answered by a sentence that says so. Nothing is executed.
    """

    async def respond(self, prefix: Prefix) -> Response:
        """The value of the newest step's call; no answer to a step without one."""
        call = _CALL.search(prefix.steps[-1].text)
        return Response() if call is None else Response(text=_answer(call[1]))


def _answer(expression: str) -> str:
    shown = expression[:_LONGEST]
    try:
        if len(expression) > _LONGEST:
            raise ValueError("it is too long")
        return f"calculate({shown}) = {_spelled(_value(ast.parse(expression.strip(), mode='eval').body))}"
    except ZeroDivisionError:
        return f"calculate({shown}): division by zero"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        why = "it is no arithmetic expression" if not isinstance(failure, ValueError) else failure
        return f"calculate({shown}) cannot be calculated: {why}"


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
    raise ValueError("use numbers, + - * / and brackets")


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > _GREATEST:
        raise ValueError("a number is too large")
    return value


def _spelled(value: Fraction) -> str:
    """A whole number, a decimal if six places hold it exactly, else a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    exact = (value * 10**6).denominator == 1
    return f"{float(value):.6f}".rstrip("0") if exact else str(value)
