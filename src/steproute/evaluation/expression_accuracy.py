"""ExprAcc: how far a solution gets along the intermediate results of a reference, without a judge."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from steproute.core.errors import DatasetError
from steproute.tools.equalities import equalities
from steproute.tools.exact import NotExact, value_of, value_of_text
from steproute.tools.tokens import Token

_BLANKS: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Expression:
    """An intermediate result of a reference solution, in plain text or LaTeX.

    needs: places of the expressions from which it follows, all before it. given: the problem states it, so it does not
    count.
    """

    text: str
    needs: tuple[int, ...] = ()
    given: bool = False


@dataclass(frozen=True, slots=True)
class ExpressionGraph:
    """The expressions of a reference solution, in their order. Raises DatasetError if one needs a later one, or if all
    are given."""

    expressions: tuple[Expression, ...]

    def __post_init__(self) -> None:
        for place, expression in enumerate(self.expressions):
            if not all(0 <= need < place for need in expression.needs):
                why = f"expression {place} needs {expression.needs}, and only earlier ones can be needed."
                raise DatasetError(why, where="expressions")
        if all(expression.given for expression in self.expressions):
            raise DatasetError("the reference has no expression that the problem does not give.", where="expressions")

    @classmethod
    def of_solution(cls, solution: str) -> "ExpressionGraph":
        """The left sides of its equalities; each needs the newest earlier ones whose values it uses.

        Raises DatasetError if it states none.
        """
        found: list[Expression] = []
        newest: dict[Fraction, int] = {}
        for equality in equalities(solution):
            used = {number for token in equality.left if (number := _value((token,))) is not None}
            needs = tuple(sorted(newest[number] for number in used if number in newest))
            if (value := _value(equality.left)) is not None:
                newest[value] = len(found)
            found.append(Expression(solution[equality.left[0].start : equality.left[-1].end], needs))
        return cls(tuple(found))

    def with_ancestors(self, place: int) -> frozenset[int]:
        """An expression's place and those of all from which it follows."""
        needs = self.expressions[place].needs
        return frozenset({place}).union(*(self.with_ancestors(need) for need in needs))


def expression_accuracy(graph: ExpressionGraph, solution: str, *, correct: bool = False) -> float:
    """The share of the reference's expressions that a solution reaches, from 0 to 1; 1 if its answer is correct.

    One that occurs counts with all from which it follows. It occurs if the solution has its text, blanks aside, or a
    side of an equality with its exact value. Source: Zhang et al., arXiv 2306.02408, by the authors' code
    (`evaluate_graph.py`), which compares values by SymPy.
    """
    if correct:
        return 1.0
    values = {_value(side) for equality in equalities(solution) for side in (equality.left, equality.right)}
    reached: frozenset[int] = frozenset()
    for place, expression in enumerate(graph.expressions):
        if not expression.given and (_has_text(solution, expression.text) or _value_of_text(expression.text) in values):
            reached |= graph.with_ancestors(place)
    counted = {place for place, expression in enumerate(graph.expressions) if not expression.given}
    return len(reached & counted) / len(counted)


def _has_text(solution: str, text: str) -> bool:
    spelled = r"\s*".join(re.escape(character) for character in _BLANKS.sub("", text))
    return re.search(rf"(?<![\w.]){spelled}(?!\w|\.\d)", solution) is not None


def _value(tokens: tuple[Token, ...]) -> Fraction | None:
    try:
        return value_of(tokens).number
    except (NotExact, ZeroDivisionError):
        return None


def _value_of_text(text: str) -> Fraction | str:
    """The exact value, or the text if it has none, so that it is equal to no value."""
    try:
        return value_of_text(text)
    except (NotExact, ZeroDivisionError):
        return text
