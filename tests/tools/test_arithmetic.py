import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.tools.arithmetic import Finding, checked, corrected, is_false


@pytest.mark.parametrize(
    "step",
    [
        "So 12 + 5 = 18.",
        "$3$ + $4$ = $8$",
        "5 apples + 3 apples = 9 apples",
        r"\[ 429 \times 21 = 8979 \]",
        r"\[ \frac{10 - 7}{2} = 3 \]",
        "Total = 5000 + 10000 + 30000 = \\boxed{43000}.",
        "It costs $1,200 * 2 = $2,500.",
        "2 + 2 = 4 = 5 - 2",
        "12 + Cleo 5 = 16",
        "\\begin{align} 25 - 30 &= -5 \\\\ &= -2 - 2 \\end{align}",
        r"0.971 \times 1.089 = 1.056519",
    ],
)
def test_false_equalities_are_found(step: str) -> None:
    assert is_false(step)


@pytest.mark.parametrize(
    "step",
    [
        "17 mod 5 = 2 and 3 = 17 - 5 (mod 9)",
        r"\lfloor 17/2 \rfloor = 8",
        r"\left\lfloor \frac{17}{2} \right\rfloor = 8",
        "10 / 3 = 3.33",
        "17 / 2 = 8",
        "3.33 * 3 = 10",
        r"10 / 4 \approx 3",
        "60 minutes / 2 = 1 hour",
        "25% of 80 = 20 and 1/4 = 25%, so 1 / 4 * 100 = 25%",
        "30% of $76,000 = 0.3 * $76,000 = $22,800",
        "101_2 + 1_2 = 110_2",
        "In base 2, 101 + 1 = 110.",
        "x + 3 = 7 and f(2) = 4 + 1 = 5",
        "Let 2ab = 75 * 5400",
        "the rate for 20 frogs = 1800 / 9",
        "2 + 3 = 6, which is a contradiction.",
        "1 + 2 + ... + 10 = 55",
        r"\sum_{i=1}^{10} i = 55",
        "the total of 3 and 4 = 7, or 3 plus 4 = 7",
        r"2\frac{1}{3} = \frac{7}{3}",
        "0 = 1",
        r"\[ 100 - \frac{2500}{81} = 5AD^2. \]",
        r"\[ 2 \cdot 3 \text{ cm}^2 = 6 \text{ cm}^{2} \]",
        "- 5 * 3 = 15\n- 2 * 3 = 6",
    ],
)
def test_what_is_not_meant_as_arithmetic_is_no_error(step: str) -> None:
    assert not is_false(step)


def test_a_step_without_a_checkable_equality_says_nothing() -> None:
    assert is_false("(1) Ada has 7.") is None
    assert is_false("So x = 3.") is None
    assert is_false("So 3 + 4 = 7.") is False


@pytest.mark.parametrize(
    ("step", "correction"),
    [
        ("(3) Ada has Ben 12 + 5 = 18. It is \\boxed{18}.", "(3) Ada has Ben 12 + 5 = 17. It is \\boxed{17}."),
        ("(3) Ada has Ben 8 - 4 = 3.", "(3) Ada has Ben 8 - 4 = 4."),
        ("3 + 5 = 3. So \\boxed{3}.", "3 + 5 = 8. So \\boxed{8}."),
        ("3 + 4 = 8, and 8 * 2 = 16. So 16.", "3 + 4 = 7, and 7 * 2 = 14. So 14."),
        ("For 8 friends, 3 + 4 = 8, and 8 * 2 = 16.", "For 8 friends, 3 + 4 = 7, and 8 * 2 = 16."),
        ("1,200 * 2 = 2,500", "1,200 * 2 = 2,400"),
        ("5 - 8 = 3", "5 - 8 = -3"),
        ("2 / 8 * 2 = 7", "2 / 8 * 2 = 0.5"),
        ("2 + 2 = 4", None),
        ("2 + 2 = 4 + 1", None),
    ],
)  # fmt: skip
def test_values_are_corrected_with_their_later_uses(step: str, correction: str | None) -> None:
    assert corrected(step) == correction


@given(st.integers(0, 99), st.sampled_from("+-*"), st.integers(0, 99), st.integers(0, 9999))
def test_a_correction_is_true(left: int, sign: str, right: int, value: int) -> None:
    correction = corrected(f"So {left} {sign} {right} = {value}.")
    if correction is not None:
        assert [each.finding for each in checked(correction)] == [Finding.TRUE]


@given(st.text(max_size=80))
def test_any_text_can_be_checked(text: str) -> None:
    checked(f"{text} = {text}")
    corrected(f"2 + 2 = 5 {text}")
