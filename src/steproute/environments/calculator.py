"""A calculator as a tool."""

import re
from dataclasses import dataclass
from typing import Final

from steproute.core.ports import Response
from steproute.core.solution import Prefix
from steproute.tools.exact import NotExact, spelled, value_of_text

_CALL: Final = re.compile(r"calculate\(([^\n]*)\)\s*$")
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Calculator:
    """Answers a step that ends in `calculate(EXPRESSION)` with the expression's exact value.

    Expressions have numbers, + - * / and powers, brackets and signs, as text or as LaTeX. Anything else, a division by
    zero or a number above 10^60 is answered by a sentence that says so. Nothing is executed.
    """

    async def respond(self, prefix: Prefix) -> Response:
        """The value of the newest step's call; no answer to a step without one."""
        call = _CALL.search(prefix.steps[-1].text)
        return Response() if call is None else Response(text=_answer(call[1]))


def _answer(expression: str) -> str:
    shown = expression[:_LONGEST]
    try:
        if len(expression) > _LONGEST:
            raise NotExact("it is too long")
        return f"calculate({shown}) = {spelled(value_of_text(expression))}"
    except ZeroDivisionError:
        return f"calculate({shown}): division by zero"
    except NotExact as failure:
        return f"calculate({shown}) cannot be calculated: {failure}"
