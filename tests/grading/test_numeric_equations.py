"""Which equations end in a number, and which texts give no number or several."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute import Meter, Problem
from steproute.core.grade import Verdict
from steproute.grading.numeric import NumericGrader

RIGHT, WRONG, UNDECIDED = Verdict
ENDS_IN_SEVEN = [
    "x = 7",
    "x=7",
    "x == 7",
    "x := 7",
    "3 + 4 = 7",
    "x = 3 + 4 = 7",
    "2 + 2 + 3 = 4 + 3 = 7",
    "x \\approx 7",
    "x ≈ 7",
    "= 7",
    "\\gcd(14, 21) = 7",
    "f(1,2) = 7",
    "P(A or B) = 7",
    "P(A \\text{ and } B) = 7",
    "\\text{cost of apples, pears and plums} = 7",
    "cost of apples and pears = 7",
    "x_1 = 7",
    "2,007 - 2,000 = 7",
    "$2,000 - $1,993 = $7",
    "5! - 113 = 7",
    "5040/6!=7",
    "x + 3 = 10 => x = 7",
    "x + 3 = 10 \\implies x = 7",
    "x + 3 = 10, so x = 7",
    "y = 3; thus x = 7",
    "x = 7 m",
    "x = 7 m^2",
    "x = 700 cm = 7 m",
    "x &= 3 + 4 \\\\ &= 7",
    "y >= 3, hence x = 7",
]
GIVES_NO_SEVEN = [
    "x >= 7",
    "x<=7",
    "x > 7",
    "< 7",
    "x ≥ 7",
    "x ≤ 7",
    "x \\ge 7",
    "\\leq 7",
    "x \\lt 7",
    "x != 7",
    "x!=7",
    "7 != 7",
    "x ≠ 7",
    "x \\ne 7",
    "x \\neq 7",
    "x \\not= 7",
    "x =/= 7",
    "x => 7",
    "x = ±7",
    "x = \\pm 7",
    "x=5, y=7",
    "x = 5; y = 7",
    "x = 5 or x = 7",
    "x = 5 and y = 7",
    "5 or x = 7",
    "x = 5 \\text{ or } x = 7",
    "x = 5 \\lor x = 7",
    "x=5\ny=7",
    "x = 5 \\\\ y = 7",
    "x = 5 y = 7",
    "x_1 = 5, x_2 = 7",
    "x = y or x = 7",
    "x = 7 or 8",
    "x = 7 and y",
    "not 7",
    "7 or eight",
    "7 to 8",
    "7 factorial",
    "7 hundred",
    "7 minus x",
    "7 divided by two",
]


WORDED = ["x = 7 and y", "7 or eight", "7 factorial", "7 hundred", "7 minus x", "7 divided by two"]


def verdict(gold: str, answer: str, *, ignore_units: bool = False) -> Verdict:
    problem = Problem.ask(id="p", text="How many?", answer=gold)
    return asyncio.run(NumericGrader(ignore_units=ignore_units).grade(problem, answer, "", Meter())).verdict


@pytest.mark.parametrize("answer", ENDS_IN_SEVEN)
def test_an_equation_is_read_by_its_last_side(answer: str) -> None:
    assert verdict("7", answer) is RIGHT
    assert verdict("7", answer, ignore_units=True) is RIGHT
    assert verdict("8", answer) is WRONG


@pytest.mark.parametrize("answer", GIVES_NO_SEVEN)
def test_inequalities_and_several_equations_are_no_number(answer: str) -> None:
    assert verdict("7", answer) is WRONG
    assert verdict(answer, "7") is UNDECIDED


@pytest.mark.parametrize("answer", [each for each in GIVES_NO_SEVEN if each not in WORDED])
def test_ignored_units_do_not_turn_them_into_one(answer: str) -> None:
    assert verdict("7", answer, ignore_units=True) is WRONG


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("-5", "a loss of -$5 a day, in all"), ("12", "12 m^2"), ("12 m^2", "12 square meters"), ("3e8", "3 x 10^8 m/s")],
)
def test_signs_squared_units_and_powers_of_ten_are_read(gold: str, answer: str) -> None:
    assert verdict(gold, answer, ignore_units=True) is RIGHT


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{}", "x = {}", "1 + 2 = {}"]), st.sampled_from(["{}", "{:,}"]))
def test_every_integer_is_read_with_and_without_separators(value: int, equation: str, form: str) -> None:
    assert verdict(str(value), equation.format(form.format(value))) is RIGHT


@given(
    st.integers(-99, 99),
    st.sampled_from([">=", "<=", "!=", "≤", "≥", "≠", "<", ">", "\\ne", "\\le"]),
    st.sampled_from(["x {} ", "1 + x {} ", "{} "]),
    st.booleans(),
)
def test_no_inequality_is_a_number(value: int, sign: str, before: str, ignore_units: bool) -> None:
    assert verdict(str(value), f"{before.format(sign)}{value}", ignore_units=ignore_units) is WRONG
