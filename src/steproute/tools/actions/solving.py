"""Tools that solve: solve_eq, solve_multi_eq, solve_ineq."""

from typing import Any

import sympy
from sympy.core.relational import Relational

from steproute.tools.actions.formula import ToolFailed, read, read_symbol, written


def solve_eq(equation: str, variable: str) -> str:
    """The real and complex solutions of one equation."""
    symbol = read_symbol(variable)
    solutions = sympy.solve(_equation(equation), symbol)
    return _listed(f"{written(symbol)} = {written(each)}" for each in solutions)


def solve_multi_eq(equations: list[str], variables: list[str]) -> str:
    """The solutions of several equations."""
    symbols = [read_symbol(each) for each in variables]
    solutions = sympy.solve([_equation(each) for each in equations], symbols, dict=True)
    return _listed(
        ", ".join(f"{written(name)} = {written(value)}" for name, value in each.items()) for each in solutions
    )


def solve_ineq(inequality: str, variable: str) -> str:
    """The real numbers for which an inequality holds."""
    relation = read(inequality)
    if not isinstance(relation, Relational):
        raise ToolFailed(f"{inequality!r} is no inequality")
    symbol = read_symbol(variable)
    real = sympy.Symbol(symbol.name, real=True)
    return written(sympy.solve_univariate_inequality(relation.xreplace({symbol: real}), real, relational=False))


def _equation(text: str) -> Any:
    value = read(text)
    if not isinstance(value, sympy.Eq):
        raise ToolFailed(f"{text!r} is no equation")
    return value


def _listed(solutions: Any) -> str:
    """The solutions. Raises ToolFailed if there are none."""
    if not (text := "; ".join(solutions)):
        raise ToolFailed("it has no solution")
    return text
