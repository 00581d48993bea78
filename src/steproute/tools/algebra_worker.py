"""The process in which formulas of a step are compared: SymPy may take longer than anyone waits."""

import sys
from typing import Any

from steproute.grading.normalise import normalised
from steproute.grading.worker import main


def holds(left: str, right: str) -> bool | None:
    """Whether two formulas are equal everywhere; None if that cannot be said, or if they are almost equal."""
    import sympy

    from steproute.grading import formulas

    one, other = (formulas.read_whole(normalised(text)) for text in (left, right))
    if not (isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr)):
        return None
    if one.free_symbols != other.free_symbols or _is_ambiguous(one) or _is_ambiguous(other):
        return None
    if formulas.equal(normalised(left), normalised(right)):
        return True
    return None if _is_near(one, other) else False


def _is_ambiguous(value: Any) -> bool:
    """Whether it has logarithms without a base, angles that may be degrees, or powers with several branches."""
    import sympy
    from sympy.functions.elementary.trigonometric import TrigonometricFunction

    angles = [arg for call in value.atoms(TrigonometricFunction) for arg in call.args]
    in_degrees = any(not arg.has(sympy.pi) and not arg.free_symbols for arg in angles)
    branches = [power for power in value.atoms(sympy.Pow) if power.free_symbols and not power.exp.is_integer]
    return bool(value.has(sympy.log)) or in_degrees or bool(branches)


def _is_near(one: Any, other: Any) -> bool:
    """Whether one may be the other, rounded."""
    if one.free_symbols:
        return False
    left, right = complex(one.evalf()), complex(other.evalf())
    return abs(left - right) <= 0.01 * max(abs(left), abs(right))


def _ready() -> Any:
    from steproute.grading import formulas  # noqa: F401 - takes seconds, and is no part of a question's time

    return holds


if __name__ == "__main__":
    main(int(sys.argv[1]), _ready)
