"""Grading of numbers, with a tolerance."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import ClassVar, Final

from steproute.core.errors import ConfigError
from steproute.core.grade import Grade, graded_text
from steproute.core.problem import Problem
from steproute.core.solution import Meter
from steproute.grading.last_side import last_side
from steproute.grading.normalise import is_readable, normalised
from steproute.grading.numerals import Numeral, read_numeral
from steproute.grading.units import number_word, one_spelling, without_unit

_MIXED: Final = re.compile(r"([+-]?\d+) (\d+) ?/ ?(\d+)")
_NUMBERS: Final = re.compile(r"(?<![\w.])([-+−]?)\\?[$€£¥₹]?((?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?)")
_DENIED: Final = re.compile(
    r"\b(?:not|never|other\s+than)\b|n['’]t\b|\b(?:more|greater|larger|less|fewer|smaller)\s+than\s+\W?\d|"
    r"\b(?:minus|negative)\s+\W?\d",
    re.IGNORECASE,
)
_OPERATION: Final = re.compile(
    r"minus|divided|multiplied|squared|cubed|factorial|hundred|belowzero"
)  # units lose spaces
_TIMES: Final = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_UNIT: Final = re.compile(
    r"(.*[\d)}])\s+(?!(?:or|and|to|if|when|not|plus|minus|times|more|less)\b)([A-Za-z](?:[A-Za-z/. ]|\^\{\d\})*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericGrader:
    """Compares two numbers: correct if they differ by no more than a share `relative` of the gold answer, or by
    `absolute`, whichever is more.

    ignore_units: take the only number of a text such as "18 dollars per day", whatever stands beside it; otherwise two
    units have to be the same one, and one may be missing. Raises ConfigError for a tolerance that is none.
    """

    relative: float = 1e-6
    absolute: float = 0.0
    ignore_units: bool = False
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("relative", "absolute"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ConfigError(f"{value} is no tolerance.", where=name, remedy="Give 0 or more.")

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """CORRECT within the tolerance; an answer that is no number is incorrect, and such a gold answer UNDECIDED."""
        gold = self._read(problem.answer or "")
        if gold is None:
            return Grade.undecided(f"the gold answer {problem.answer!r} is no number")
        number = self._read(graded_text(problem, answer, solution) or "")
        if number is None:
            return Grade.of(False)
        (value, unit), (expected, expected_unit) = number, gold
        tolerance = max(_exactly(self.relative) * abs(expected), _exactly(self.absolute))
        same_unit = self.ignore_units or not (unit and expected_unit) or unit == expected_unit
        return Grade.of(same_unit and abs(value - expected) <= tolerance)

    def _read(self, text: str) -> tuple[Fraction, str] | None:
        """The number of a text and its unit; of an equation, that of its last side."""
        side = last_side(_THOUSANDS.sub("", text))
        if side is None or not is_readable(side):
            return None
        value, unit = _with_unit(normalised(_TIMES.sub(r"\\cdot ", side)))
        numeral = read_numeral(_MIXED.sub(r"\1\\frac{\2}{\3}", value).replace(" ", "")) or _word(value)
        if numeral is not None:
            return numeral.value, unit
        return _only_number(side) if self.ignore_units else None


def _only_number(text: str) -> tuple[Fraction, str] | None:
    """The one number of a text that does not deny it or give it as a bound."""
    numbers = [] if _DENIED.search(text) else [sign + digits for sign, digits in _NUMBERS.findall(text)]
    return (Fraction(numbers[0].replace("−", "-")), "") if len(numbers) == 1 else None


def _with_unit(text: str) -> tuple[str, str]:
    """(value, unit); letters apart from the number are a unit, since no variable belongs here."""
    value, unit = without_unit(text)
    if _OPERATION.match(unit):
        return text, ""
    match = None if unit else _UNIT.fullmatch(value)
    return (match[1], one_spelling(match[2])) if match else (value, unit)


def _word(text: str) -> Numeral | None:
    word = number_word(text.removeprefix("\\text{").removesuffix("}"))
    return None if word is None else read_numeral(word)


def _exactly(value: float) -> Fraction:
    return Fraction(str(value))
