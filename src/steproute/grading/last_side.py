"""The value that an equation ends with, as opposed to inequalities, several equations and bounds."""

import re
from typing import Final

_CONCLUSION: Final = re.compile(
    r"\b(?:so|thus|hence|therefore)\b|⇒|⟹|=>|\\(?:implies|Rightarrow|Longrightarrow)(?![A-Za-z])", re.IGNORECASE
)
_RELATION: Final = re.compile(
    r"[<>≠≤≥≦≧≮≯±∓]|(?<!\d)!=|=/=|=\\=|\\not\s*=|\\(?:[lg](?:e|eq|eqq|eqslant|t)|neq?|pm|mp)(?![A-Za-z])"
)
_EQUALS: Final = re.compile(r"=|≈|≅|\\approx(?![A-Za-z])")
_IN_BRACKETS: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_CONNECTIVE: Final = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([\s,;]*(?:(?:and|or)[\s,;]*)?)\}")
_SEPARATOR: Final = re.compile(r"[,;]|\b(?:and|or)\b|\\(?:land|lor|wedge|vee)(?![A-Za-z])|∧|∨", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<!\w)\.?\d")
_NAME: Final = r"[A-Za-z](?:_\w+|_\{\w+\})?"
_VALUE_THEN_NAME: Final = re.compile(rf"[\d)}}][^\S\n]*(?:(?:\\\\|\n)\s*{_NAME}\w*|\s(?![mgslh]\s*$){_NAME})\s*$")


def last_side(text: str) -> str | None:
    """What stands behind the last equals sign, or the whole text if it has none; None for an inequality, a plus-minus
    and several equations.

    Of "x + 3 = 10, so x = 7" only the conclusion counts. Commas inside numbers have to be removed first.
    Takes linear time.
    """
    *_, start = [0, *(match.end() for match in _CONCLUSION.finditer(text, 0, text.rfind("=")))]
    clause = text[start:]
    if _RELATION.search(clause):
        return None
    *earlier, last = _EQUALS.split(clause)
    return None if _are_several(earlier) else last


def _are_several(sides: list[str]) -> bool:
    """Whether the sides before the last one belong to more than one equation, or give a value of their own."""
    if any(_VALUE_THEN_NAME.search(side) for side in sides[1:]):
        return True
    bare = [_IN_BRACKETS.sub("", _CONNECTIVE.sub(r" \1 ", side)) for side in sides]
    gives_more = len(bare) > 1 or any(_NUMBER.search(side) for side in bare)
    return gives_more and any(_SEPARATOR.search(side) for side in bare)
