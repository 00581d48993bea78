"""Algebra of a step: equalities with irrational numbers, and identities between formulas with variables.

SymPy compares in a worker process with a deadline. Nothing that a model wrote is executed.
"""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Final

from steproute.grading.normalise import is_readable
from steproute.grading.worker_process import Worker
from steproute.tools.arithmetic import Checked, Finding, checked
from steproute.tools.equalities import Equality, identities
from steproute.tools.exact import NotExact, value_of
from steproute.tools.tokens import Kind, Token

_LONGEST: Final = 400


class AlgebraChecker:
    """Checks the equalities of steps, by exact arithmetic or else by SymPy. A context manager, which ends the worker.

    cpu_s: seconds of CPU time that one comparison may take. One that takes longer is unchecked, and its worker is
    replaced.
    """

    def __init__(self, cpu_s: float = 2.0) -> None:
        self._cpu_s = cpu_s
        self._worker = Worker[bool]("steproute.tools.algebra_worker")

    async def check(self, text: str) -> list[Checked]:
        """As `check_now`, without blocking the event loop."""
        return await asyncio.to_thread(self.check_now, text)

    def check_now(self, text: str) -> list[Checked]:
        """Every equality between numbers in a step, and then every one between formulas of the same variables."""
        numbers = [self._decided(each) for each in checked(text)]
        return numbers + [self._compared(each) for each in identities(text)]

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def __enter__(self) -> "AlgebraChecker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decided(self, each: Checked) -> Checked:
        """What exact arithmetic finds, or SymPy if one side has no exact value."""
        sides = each.equality.left, each.equality.right
        if each.finding is not Finding.UNCHECKED or each.equality.doubt or all(map(_is_exact, sides)):
            return each
        return self._compared(each.equality)

    def _compared(self, equality: Equality) -> Checked:
        left, right = _latex(equality.left), _latex(equality.right)
        if equality.doubt or max(len(left), len(right)) > _LONGEST or not (is_readable(left) and is_readable(right)):
            return Checked(equality, Finding.UNCHECKED, equality.doubt or "it is too long")
        if _is_mixed(equality.left) or _is_mixed(equality.right):
            return Checked(equality, Finding.UNCHECKED, "it can be read in several ways")
        verdict = self._worker.ask(left, right, self._cpu_s)
        if verdict is None:
            return Checked(equality, Finding.UNCHECKED, "SymPy cannot say")
        return Checked(equality, Finding.TRUE if verdict else Finding.FALSE)


def _is_exact(tokens: Sequence[Token]) -> bool:
    try:
        value_of(tokens)
    except (NotExact, ZeroDivisionError):
        return False
    return True


def _is_mixed(tokens: Sequence[Token]) -> bool:
    """Whether a number stands before a fraction: a mixed number, or a product."""
    return any(one.kind is Kind.NUMBER and other.text == "frac" for one, other in pairwise(tokens))


def _latex(tokens: Sequence[Token]) -> str:
    """A side in LaTeX, without units."""
    written = [token for token in tokens if token.kind is not Kind.TEXT]
    return "".join(_spelled(token, before) for token, before in zip(written, [None, *written[:-1]], strict=True))


def _spelled(token: Token, before: Token | None) -> str:
    match token.kind:
        case Kind.FUNCTION:
            return f"\\{token.text} "
        case Kind.NUMBER if not token.text.startswith("\\"):
            digits = "".join(sign for sign in token.text if sign in "0123456789.")
            if before is not None and before.text == ")":
                return rf"\cdot {digits}"
            return f"{{{digits}}}" if before is not None and before.text in ("sqrt", "^") else digits
        case Kind.OPEN if token.text == "(" and before is not None and before.kind is Kind.NUMBER:
            return r"\cdot ("  # the parser reads 2(63) as a mixed number
        case Kind.OPERATOR if token.text == "*":
            return r"\cdot "
    return token.text
