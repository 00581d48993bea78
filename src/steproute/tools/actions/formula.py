"""LaTeX to SymPy and back. In the worker process only."""

from typing import Any

import sympy

from steproute.grading import formulas
from steproute.grading.normalise import is_readable, normalised


class ToolFailed(Exception):
    """A tool cannot do what it is asked, or its result is what it was given."""


def read(text: str) -> Any:
    """A formula, an equation or an inequality. Raises ToolFailed if it cannot be read to its end."""
    value = formulas.read_whole(normalised(text)) if is_readable(text) else None
    if value is None:
        raise ToolFailed(f"{text!r} cannot be read")
    return value


def read_expression(text: str) -> sympy.Expr:
    """A formula without a relation. Raises ToolFailed."""
    value = read(text)
    if not isinstance(value, sympy.Expr):
        raise ToolFailed(f"{text!r} is no expression")
    return value


def read_symbol(text: str) -> sympy.Symbol:
    """A single variable. Raises ToolFailed."""
    value = read(text)
    if not isinstance(value, sympy.Symbol):
        raise ToolFailed(f"{text!r} is no variable")
    return value


def written(value: Any) -> str:
    """LaTeX."""
    return str(sympy.latex(value))


def changed(result: sympy.Expr, given: sympy.Expr) -> str:
    """The result in LaTeX. Raises ToolFailed if it is written as what was given."""
    if written(result) in (written(given), written(given.doit())):
        raise ToolFailed("nothing changes")
    return written(result)
