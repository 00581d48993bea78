"""Exact arithmetic of a step: which of its equalities are false, and the text with their values corrected."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from steproute.grading.units import one_spelling
from steproute.tools.equalities import Equality, equalities
from steproute.tools.exact import NotExact, Value, spelled, value_of
from steproute.tools.tokens import Kind, Token, tokens_of

_NEAR: Final = Fraction(1, 100)
_MOST_CORRECTIONS: Final = 20
_BOX: Final = r"\boxed{"


class Finding(StrEnum):
    """Whether an equality holds; UNCHECKED if that cannot be said with certainty."""

    TRUE = "true"
    FALSE = "false"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Checked:
    """An equality with its finding, why it is unchecked, and the exact value of its left side."""

    equality: Equality
    finding: Finding
    reason: str = ""
    value: Fraction | None = None


def checked(text: str) -> list[Checked]:
    """Every equality of a step that has no variables, in order."""
    return [_checked(equality) for equality in equalities(text)]


def is_false(text: str) -> bool | None:
    """Whether a step states a false equality; None if it states none that can be checked."""
    findings = {each.finding for each in checked(text)}
    if Finding.FALSE in findings:
        return True
    return False if Finding.TRUE in findings else None


def corrected(text: str) -> str | None:
    """The step with the values of false equalities replaced, and with them their later uses in the step.

    A value is used later if the same number stands there and stood nowhere before. None if nothing is false, or if a
    false equality ends with something else than one number.
    """
    original = text
    for _ in range(_MOST_CORRECTIONS):
        false = next((each for each in checked(text) if each.finding is Finding.FALSE), None)
        if false is None:
            return text if text != original else None
        if (replaced := _replaced(text, false)) is None:
            return None
        text = replaced
    return None


def _checked(equality: Equality) -> Checked:
    try:
        left, right = value_of(equality.left), value_of(equality.right)
    except (NotExact, ZeroDivisionError) as failure:
        return Checked(equality, Finding.UNCHECKED, str(failure))
    if left.number == right.number:
        return Checked(equality, Finding.TRUE, value=left.number)
    if reason := equality.doubt or _innocent(left, right, equality.unit):
        return Checked(equality, Finding.UNCHECKED, reason, left.number)
    return Checked(equality, Finding.FALSE, value=left.number)


def _innocent(left: Value, right: Value, unit: str) -> str:
    """Why two different values may be meant as equal; empty if nothing speaks for it."""
    if not left.operations and not right.operations:
        return "it calculates nothing"
    if left.doubtful or right.doubtful:
        return "it can be read in several ways"
    if (left.percent or right.percent) and _is_hundredfold(left.number, right.number):
        return "percentages and their hundredths"
    if _is_rounded(left, right):
        return "it is rounded"
    if _other_units(left.units, [*right.units, unit]):
        return "its units differ"
    return ""


def _is_hundredfold(one: Fraction, other: Fraction) -> bool:
    return one == 100 * other or other == 100 * one


def _is_rounded(left: Value, right: Value) -> bool:
    """Rounded or cut at the last place of the right side, or near it if some number is itself rounded.

    A result with all places of the exact one was calculated from the numbers that stand there.
    """
    difference, place = abs(left.number - right.number), Fraction(10) ** (right.place or 0)
    if right.operations == 0 and (left.number / place).denominator == 1:
        return False
    if right.operations == 0 and difference < place:
        return True
    is_near = difference <= _NEAR * max(abs(left.number), abs(right.number))
    return is_near and (left.decimals or right.decimals)


def _other_units(units: Sequence[str], others: Sequence[str]) -> bool:
    """Whether both sides have units, and none in common."""
    mine, theirs = _unit_words(units), _unit_words(others)
    return bool(mine and theirs) and not mine & theirs


def _unit_words(units: Sequence[str]) -> set[str]:
    return {one_spelling(word) for unit in units for word in unit.replace("/", " ").split() if word.isalpha()}


def _replaced(text: str, false: Checked) -> str | None:
    right, value = false.equality.right, false.value
    span = _single_number(right)
    if span is None or value is None:
        return None
    first, last = span
    new = _written(value, last)
    rest = _later_uses(text, last, new) if first is last else text[last.end :]
    return text[: first.start] + new + rest


def _single_number(tokens: Sequence[Token]) -> tuple[Token, Token] | None:
    """The first and last token of a side that is one number, with its sign and without brackets and units."""
    inner = [token for token in tokens if token.kind is not Kind.TEXT and token.text not in "{}%"]
    if len(inner) == 1 and inner[0].kind is Kind.NUMBER:
        return inner[0], inner[0]
    if len(inner) == 2 and inner[0].text == "-" and inner[1].kind is Kind.NUMBER:
        return inner[0], inner[1]
    return None


def _written(value: Fraction, like: Token) -> str:
    """The value, with separators of thousands if `like` has them."""
    text = spelled(value)
    if "," in like.text and text.lstrip("-").isdigit():
        return f"{int(text):,}"
    return text


def _later_uses(text: str, number: Token, new: str) -> str:
    """The text behind `number` with the same number replaced: in a box, and elsewhere unless it also stands before."""
    same = [token for token in tokens_of(text) if token.kind is Kind.NUMBER and token.text == number.text]
    is_new = same[0].start == number.start
    pieces, at = [], number.end
    for token in same:
        if token.start >= number.end and (is_new or text.endswith(_BOX, 0, token.start)):
            pieces += [text[at : token.start], new]
            at = token.end
    return "".join([*pieces, text[at:]])
