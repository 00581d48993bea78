from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.tools.exact import NotExact, spelled, value_of, value_of_text
from steproute.tools.tokens import tokens_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2+3)(4)", 20),
        ("1,234 × 2", 2468),
        (r"12{,}000 \div 5", 2400),
        (r"\frac12 + \dfrac{30 \times 29}{2}", "871/2"),
        (r"\sqrt{9} \cdot \sqrt[3]{27}", 9),
        (r"8^{\frac{2}{3}}", 4),
        ("2 ** 9", 512),
        (r"\left(\frac{3}{2}\right)^2 - 2(2)", "-7/4"),
        ("5! / 3!", 20),
        (r"\binom{5}{2}", 10),
        (r"20\% * 50", 10),
        ("--3", 3),
        ("2^{-3}", "1/8"),
    ],
)
def test_the_value_is_exact(text: str, value: int | str) -> None:
    assert value_of_text(text) == Fraction(value)


@pytest.mark.parametrize(
    "text", ["", "2 +", "(2", "x + 1", r"\sqrt{2}", r"\sin 3", "10^{500}", "200!", "9^9^9", "(" * 5000, "2 3", "0^{-1}"]
)
def test_what_has_no_exact_value_is_refused(text: str) -> None:
    with pytest.raises(NotExact):
        value_of_text(text)


@pytest.mark.parametrize("text", [r"2\frac{1}{3}", "1/2(3)", "-2^2"])
def test_what_readers_disagree_about_is_doubtful(text: str) -> None:
    assert value_of(tokens_of(text)).doubtful


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 999)), min_size=1, max_size=6), st.integers(0, 999))
def test_it_agrees_with_python(rest: list[tuple[str, int]], first: int) -> None:
    text = str(first) + "".join(f" {sign} {number}" for sign, number in rest)
    assert value_of_text(text) == eval(text)


@given(st.text(alphabet="0123456789+-*/^(){}[]\\ .,%!=frac$x\n", max_size=60))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    try:
        value_of_text(text)
    except (NotExact, ZeroDivisionError):
        return


@pytest.mark.parametrize(("value", "text"), [("7", "7"), ("-1/8", "-0.125"), ("1/3", "1/3"), ("0", "0")])
def test_values_are_spelled_exactly(value: str, text: str) -> None:
    assert spelled(Fraction(value)) == text
