"""Tools that rewrite formulas: substitute, expand, factor, collect, complete_the_square. Each raises ToolFailed if
nothing changes."""

import sympy

from steproute.tools.actions.formula import ToolFailed, changed, read, read_expression, read_symbol


def substitute(expression: str, conditions: list[str]) -> str:
    """The expression with the left side of each condition replaced by its right side."""
    given = result = read_expression(expression)
    for text in conditions:
        condition = read(text)
        if not isinstance(condition, sympy.Eq):
            raise ToolFailed(f"{text!r} is no equation")
        result = result.subs(condition.lhs, condition.rhs)
    return changed(result, given)


def expand(expression: str) -> str:
    """Products multiplied out."""
    given = read_expression(expression)
    return changed(sympy.expand(given), given)


def factor(expression: str) -> str:
    """A product of factors."""
    given = read_expression(expression)
    return changed(sympy.factor(given), given)


def collect(expression: str, variable: str) -> str:
    """Terms with the same power of the variable joined."""
    given = read_expression(expression)
    return changed(sympy.collect(sympy.expand(given), read_symbol(variable)), given)


def complete_the_square(expression: str, variable: str) -> str:
    """a x^2 + b x + c as a (x + b/2a)^2 + c - b^2/4a."""
    given, x = read_expression(expression), read_symbol(variable)
    polynomial = sympy.Poly(sympy.expand(given), x)
    if polynomial.degree() != 2:
        raise ToolFailed("it is not quadratic")
    a, b, c = polynomial.all_coeffs()
    return changed(a * (x + b / (2 * a)) ** 2 + (c - b**2 / (4 * a)), given)
