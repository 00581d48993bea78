# ruff: noqa: E501 (pairs read as a table)
import random
from collections import defaultdict
from pathlib import Path

import pytest
from benchmarks.answer_variants import CHANGES, REWRITINGS, changes, rewritings
from hypothesis import given
from hypothesis import strategies as st

from steproute.evaluation.datasets import read_rows
from steproute.grading import formulas
from steproute.grading.compare import equal

SETS = {
    "math500/test": 12,
    "math/test_minus_math500": 14,
    "math/train": 14,
    "minerva_math/test": 14,
    "olympiadbench/test": 14,
    "aime/train_1983_2023": 4,
    "amc23/test": 3,
    "gsm8k/test": 3,
}
BOX = "\\begin{pmatrix} -1 & 0 \\\\ 0 & -1 \\end{pmatrix}"
HBAR = "\\hbar \\omega(v+1 / 2)-\\frac{E_{0}^{2} e^{2}}{2 m \\omega^{2}}"
ENERGIES = "\\frac{1}{3} E_{1}+\\frac{2}{3} E_{2}"

SAME = {
    "as before": [
        ("x+y > 1", "-x-y < -1"), ("1,2", "(1,2)"), ("2x=3y=4z", "4z=3y=2x"),
        ("0.5", "\\frac{1}{2}"), ("\\frac43", "\\frac{4}{3}"), ("-2,1", "1,-2"), ("\\text{four}", "\\mbox{four}"), ("007", "7"),
        ("(3,\\frac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"), ("3 < x \\le 4", "(3,4]"), ("x > 3", "(3,\\infty)"),
        ("x<-1 or x>2", "(-\\infty,-1)\\cup(2,\\infty)"), ("x \\in [-2,7]", "[-2,7]"), ("4 \\ge x > 3", "(3,4]"), ("y = 2x+3", "2x - y + 3 = 0"),
        ("x=5", "5"), ("f(x)=2x", "2x"), ("(x+1)(x-1)", "x^2-1"), ("2\\sqrt{2}", "\\sqrt{8}"), ("\\cos^2 x + \\sin^2 x", "1"), ("1,234", "1234"),
    ],
    "e-notation": [
        ("a1e2", "2ae"),
        ("2e3^2", "18e"), ("2e1.5", "3e"), ("1.23457e5", "123456.7"), ("6.62607015e-34", "6.62607e-34"), ("-10^{5}", "-100000"),
        ("2.75 \\times 10^{11}", "2.75e11"), ("275000000000", "2.75e11"), ("2.75E11", "2.75e11"), ("2.75e+11", "2.75e11"), ("0.00001", "1e-5"),
        ("10^{-5}", "1e-5"), ("3 \\cdot 10^8", "3e8"), ("1.5e3", "1500"), ("2e", "2e"), ("2e-3", "2e - 3"), ("2e+1", "2 e + 1"), ("-1.5e-3", "-0.0015"),
        ("6.02 × 10²³", "6.02e23"), ("1e-05", "1e-5"), ("4.5\\cdot10^{33}", "4.5e33"), ("10^5", "100000"), ("1.04e-3", "0.00104"), ("2*10^-5", "2e-5"), ("2e-5.", "2e-5"),
    ],
    "punctuation and letters": [
        ("\\text{(even)}", "\\text{even}"), ("104?", "104"), ("rate/time", "\\frac{rate}{time}"),
        ("104.", "104"), ("\\textbf{(073)}", "73"), ("A,D", "\\text{A,D}"), ("A, D", "\\text{A,D}"), ("\\text{yes}.", "\\text{Yes}"), ("\\frac{1}{2}.", "\\frac12"),
        ("E: the last one", "E"), ("B. 12", "B"), ("\\textbf{(B)}\\ 12", "B"), ("(B)", "\\text{B}"), ("B)", "B"), ("\\text{B}", "\\text{(B)}"), ("A and D", "\\text{A,D}"),
        ("**104**", "104"), ("$104$;", "104"), ("Evelyn", "\\text{Evelyn}"), ("\\mathrm{Evelyn}", "\\text{Evelyn}"), ("C. \\frac{1}{2}", "C"), ("D", "\\textbf{(D) } 7"),
        ("\\mathbf{\\frac{1}{2}}", "\\frac12"), ("\\underline{12}", "12"), ("{12}", "12"), ("\\textbf{104}", "104"), ("\\mathbf{104}.", "104"), ("104\\\\", "104"),
    ],
    "signs and repeating decimals": [
        ("√1．5", "\\sqrt{1.5}"),
        ("0.3̇", "\\frac13"), ("0.1̇42857̇", "\\frac17"), ("0.\\bar3", "\\frac13"), ("\\sqrt{٥}", "\\sqrt5"), ("२x", "2x"), ("3．5", "3.5"), ("5㎝", "5\\text{ cm}"), ("5㎠", "5\\text{ cm}^2"), ("（1，2）", "(1,2)"), ("ｘ＋1", "x+1"), ("𝑥²", "x^2"), ("x ∈ ℝ", "\\mathbb{R}"), ("ℤ", "\\mathbb Z"), ("ℕ", "\\mathbb{N}"), ("\\mathbb{Q}", "ℚ"), ("ℂ", "C"),
        ("90°", "90"), ("90°", "90^\\circ"), ("√2", "\\sqrt2"), ("2√2", "2\\sqrt{2}"), ("–5", "-5"), ("−5", "-5"), ("3×10^8", "3\\times10^8"), ("0.\\overline{3}", "\\frac13"),
        ("0.\\bar{3}", "\\frac{1}{3}"), ("0.1\\overline{6}", "\\frac16"), ("5个", "5"), ("5。", "5"), ("0.(3)", "\\frac13"), ("0.\\dot{3}", "\\frac13"), ("0.\\dot{1}4285\\dot{7}", "\\frac17"),
        ("1.2\\overline{34}", "\\frac{611}{495}"), ("0.\u0333\u0305".replace("\u0333", "3"), "\\frac13"), ("√3/2", "\\frac{\\sqrt{3}}{2}"), ("√12", "2\\sqrt{3}"), ("√(x+1)", "\\sqrt{x+1}"),
        ("π/2", "\\frac{\\pi}{2}"), ("½", "\\frac12"), ("1½", "\\frac32"), ("x²", "x^2"), ("x³−1", "x^3-1"), ("∞", "\\infty"), ("(−∞, 2) ∪ (3, ∞)", "(-\\infty,2)\\cup(3,\\infty)"), ("x₁", "x_1"),
        ("5．", "5"), ("5।", "5"), ("５", "5"), ("٥", "5"), ("五个".replace("五", "5"), "5"), ("12 人", "12"), ("3·4", "12"), ("6÷4", "\\frac32"), ("45˚", "45^{\\circ}"), ("≥ 3", "\\geq 3"),
        ("∛8", "2"), ("1 ± √19", "1 \\pm \\sqrt{19}"), ("3，5", "3,5"), ("\u200b7\u200b", "7"), ("٫5".replace("٫", "0٫"), "0.5"), ("θ/2", "\\frac{\\theta}{2}"), ("5\u00a0000", "5000"), ("-0.\\overline{09}", "-\\frac{1}{11}"),
    ],
    "exact numbers": [
        ("0.5", "\\frac{1}{\\sqrt{4}}"),
        ("-0", "0"), ("0.1234565", "0.123457"), ("0.1234565", "0.123456"), ("0.1x", "\\frac{x}{10}"), ("\\sqrt{5+2\\sqrt{6}}-\\sqrt{2}-\\sqrt{3}", "0"),
        ("2^{-98}", "\\frac{1}{2^{98}}"), ("\\frac{4}{2^{100}}", "\\frac{1}{2^{98}}"), ("\\frac13", "\\frac{2}{6}"), ("0.333333", "\\frac13"), ("1.414214", "\\sqrt{2}"), ("0.50", "\\frac12"),
        ("3.141593", "\\pi"), ("\\frac{1}{2004!}", "\\frac{2005}{2005!}"), ("12345.67", "\\frac{37037}{3}"), ("10^{100}+1", "1+10^{100}"), ("1\\frac{4}{5}", "\\frac95"), ("137 1/2", "137\\frac{1}{2}"),
    ],
    "products without a sign": [("2(63)", "126"), ("(2)(3)", "6"), ("(2)3", "6"), ("2\\left(\\frac{1}{2}\\right)", "1"), ("3!(2)", "12"), ("\\binom{4}{2}(3)", "18"), ("5+2(63)", "131"), ("2(\\frac{1}{2})x", "x"), ("7\\frac{3}{4}", "7.75")],
    "names": [("Tom", "\\text{Tom}"), ("\\text{ Tom }", "Tom"), ("TOM", "\\text{Tom}"), ("ab", "ba"), ("2xy", "2yx"), ("no solution", "\\text{No solution}"), ("Tom and Ann", "\\text{Ann, Tom}")],
    "said with the answer": [("Option B", "B"), ("\\text{Option B}", "B"), ("Choice (B)", "B"), ("\\text{approximately } 5", "5"), ("Answer: 5", "5"), ("1.5 million", "1500000"), ("2\\text{ billion dollars}", "2e9"), ("0.333\\ldots", "\\frac13"), ("0.1666...", "\\frac16"), ("a/b", "\\frac{a}{b}"), ("x-y", "-y+x"), ("\\left[\\begin{array}{c}1\\\\2\\end{array}\\right]", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"), ("five", "5"), ("2516_{\\text{base }8}", "2516_8"), ("\\sqrt[3]{2}", "∛2"), ("3.5 cm", "\\frac{7}{2}"), ("x^{2}+2x+1", "(x+1)^2"), ("\\binom{5}{2}", "10"), ("-2i+3", "3-2i")],
    "bases": [("1011_2", "1011_{2}"), ("1011_{\\text{two}}", "1011_2"), ("1011 (base 2)", "1011_2"), ("1011_{(2)}", "1011_2"), ("1A_{16}", "1a_{16}"), ("01011_2", "1011_2"), ("1011\\text{ base }2", "1011_2")],
    "units": [
        ("5", "5\\text{ cm}"), ("5 cm", "5\\text{ cm}"), ("5 centimeters", "5\\text{ cm}"), ("5\\text{ cm}", "5"), ("15\\text{ cm}^2", "15\\mbox{ cm}^2"), ("15 cm²", "15\\mbox{ cm}^2"), ("15 square centimeters", "15\\text{ cm}^2"),
        ("36 dollars", "\\$36"), ("$36", "\\$36"), ("864\\text{ sq. in.}", "864 \\mbox{ inches}^2"), ("65", "65\\%"), ("65 percent", "65\\%"), ("0.65", "65\\%"), ("5 mph", "5\\text{ miles per hour}"),
        ("30 degrees", "30^\\circ"), ("12 apples", "12"), ("€5", "5"), ("8:34 pm", "8:34 \\text{ p.m.}"), ("6\\frac{1}{6}\\text{ ft}", "6\\frac{1}{6}\\text{ feet}"), ("99\\pi", "99\\pi \\text{ square inches}"),
    ],
    "parts": [
        ("5 \\text{ and } -2", "5,-2"), ("1\\text{ or }2", "1,2"),
        ("1+\\sqrt{19}, 1-\\sqrt{19}", "1 \\pm \\sqrt{19}"), ("x=1, x=2", "1,2"), ("1, 2", "\\{2,1\\}"), ("(1,2),(3,4)", "(3,4),(1,2)"), ("\\frac12, 0.5", "\\frac12"), ("\\begin{bmatrix}1\\\\2\\end{bmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
        ("5, -2", "$5$ and $-2$"), ("\\{1+\\sqrt5, 1-\\sqrt5, -2\\}", "\\{1\\pm\\sqrt{5},-2\\}"), ("1 : 4", "1:4"), ("a = 1, b = 2", "b=2,a=1"), ("1;2", "1,2"), (f"{BOX}.", BOX), (BOX, f"{BOX}."), ("((1,2))", "(1,2)"),
    ],
    "equations that end in the answer": [("2+2+2=6", "6"), ("(b,c)=(6,5)", "(6,5)"), ("\\frac{3}{16} = 0.0011_2", "0.0011_{2}"), ("x = 2+3 = 5", "5"), ("x = 5", "x=2+3=5"), ("\\sqrt{8} = 2\\sqrt{2}", "2\\sqrt{2}"), ("\\frac{\\pi}{6} + k\\pi \\text{ for } k \\in \\mathbb{Z}", "x=\\frac{1}{6} \\pi+\\pi k"), ("2\\pi n, n \\in \\mathbb{Z}", "2\\pi n")],
    "unreadable": [("\\frac{2}{3} E_{2}+\\frac{1}{3} E_{1}", ENERGIES), ("E+1", "1+E"), ("2v_{\\text{max}}", "v_{max} \\cdot 2"), ("y'+2", "2+y'"), ("f^\\prime(x)", "f'(x)"), ("x_1'", "x_{1}'"), (ENERGIES, ENERGIES), (HBAR.replace(" ", ""), HBAR), ("3\\to 5", "3 \\to 5"), (f"{HBAR}.", HBAR), (ENERGIES.replace("\\frac", "\\dfrac"), ENERGIES)],
}  # fmt: skip

DIFFERENT = {
    "equations that end in another answer": [("x + y = 5", "5"), ("2+3=6", "5"), ("y=2x+3", "3"), ("x^2=4", "4"), ("a < b = 5", "5"), ("2x = 10", "10"), ("\\lfloor\\frac{2 n-2}{5}\\rfloor", "\\lfloor\\frac{2 n-1}{5}\\rfloor"), ("\\lfloor\\sqrt[3]{n-1}\\rfloor", "\\lfloor\\sqrt{n-1}\\rfloor"), ("2\\pi n, n \\in \\mathbb{Z}", "3\\pi n")],
    "as before": [
        ("2x = 3y = 6y - 2x", "2x = 3y = 4z"),
        ("2x = 3y = 2x", "2x = 3y = 4z"), ("x+y>1", "-x-y > -1"), ("x+y>1", "x+y<1"), ("x+y \\ge 1", "x+y>1"),
        ("[3,4]", "(3,4]"), ("4", "5"), ("\\frac{1}{3}", "\\frac{1}{2}"), ("no idea", "12"), ("", "12"), ("x", "y"), ("x^2", "2x"), ("(2,1)", "(1,2)"), ("x>3", "[3,\\infty)"), ("y=2x", "x=2y"), ("\\sqrt{x^2}", "x"),
        ("x \\le 3", "x \\ge 3"), ("x^2-1", "x^2+1"), ("\\frac{a}{b}", "\\frac{b}{a}"), ("2\\pi", "2\\pi r"), ("(-\\infty,0]", "[0,\\infty)"), ("(0,-\\infty]", "(-\\infty,0]"), ("V", "v"), ("f(x)=x", "f(x)=-x"), ("\\{1,2\\}", "(1,2)"),
    ],
    "e-notation": [("1.23457e5", "123456.2"), ("6.62607e-34", "1.05457e-34"), ("-10^{5}", "10^{5}"), ("2.75 \\times 10^{12}", "2.75e11"), ("1e-6", "1e-5"), ("2.75e-11", "2.75e11"), ("2.75", "2.75e11"), ("4.5e + 33", "4.5e33"), ("3e8", "3e9"), ("10^{5}", "10^{-5}"), ("2e", "2")],
    "punctuation and letters": [("\\text{v}", "V"), ("A,C", "\\text{A,D}"), ("1.04", "104"), ("D: all", "E"), ("(C) 12", "B"), ("A", "\\text{A,D}"), ("\\text{yes}", "\\text{no}"), ("10.4.", "104"), ("B. 12", "B. 13"), ("5!", "5"), ("(073)", "37")],
    "signs and repeating decimals": [("5㎝", "5\\text{ m}"), ("5㎠", "5\\text{ cm}"), ("ℝ", "\\mathbb{Q}"), ("90°", "80"), ("0.\\overline{3}", "0.3"), ("√2", "2"), ("0.(3)", "0.3"), ("5个", "6"), ("x²", "2x"), ("½", "2"), ("–5", "5"), ("0.\\overline{3}", "0.33"), ("∛8", "\\sqrt{8}"), ("√23", "\\sqrt{2}3"), ("1½", "\\frac12"), ("5個", "-5")],
    "exact numbers": [
        ("1.414214", "\\sqrt{2}+\\sqrt{-1}"),
        ("1.414214", "\\sqrt{2}+i"), ("\\frac{x}{0}", "\\frac{y}{0}"), ("\\frac{x}{|x|-x}", "-\\frac{1}{2}"),
        ("0.33333", "\\frac13"), ("1.4142", "\\sqrt{2}"), ("0.000000", "10^{-20}"), ("\\frac{x}{3^{100}}", "\\frac{x}{3^{101}}"), ("e^{-2000}", "e^{-2001}"),
        ("\\frac{1}{2^{99}}", "\\frac{1}{2^{98}}"), ("\\frac{2}{2^{98}}", "\\frac{1}{2^{98}}"), ("\\frac{1}{2004!}", "\\frac{1}{2006!}"), ("10^{-9}", "10^{-10}"), ("\\frac{1}{3 \\cdot 2^{2006}}", "\\frac{2^{2005}+1}{3 \\cdot 2^{2006}}"),
        ("\\frac{1}{100}", "0.010000001"), ("10^{100}+\\sqrt{2}", "10^{100}+\\sqrt{3}"), ("0.33", "\\frac13"), ("1.41", "\\sqrt{2}"), ("\\frac{1}{3^{50}}", "\\frac{1}{3^{51}}"), ("0.333334", "\\frac13"), ("1000000", "1000001"), ("3.14", "\\pi"),
        ("\\sqrt{2}+\\frac{1}{10^{60}}", "\\sqrt{2}"), ("0.0000001", "0.0000002"), ("275000000001", "2.75e11"), ("\\frac{10^{30}+1}{10^{30}}", "1"), ("e^{-100}", "e^{-101}"), ("0", "10^{-20}"),
    ],
    "said with another answer": [("1 2", "12"), ("1.5 million", "1.5"), ("Option A", "B"), ("0.333...", "0.333"), ("a/b", "\\frac{b}{a}"), ("x-y", "y-x"), ("July 5", "\\text{July 4}"), ("3:45 AM", "3:45\\text{ p.m.}"), ("25 m/s", "25\\text{ km/h}"), ("1.2", "1,2"), ("22/7", "\\pi"), ("\\emptyset", "0")],
    "products without a sign": [("2(63)", "65"), ("(2)(3)", "5"), ("1 2", "3"), ("1 \\quad 2", "3"), ("3 4 5", "12"), ("2(\\frac{1}{2})", "\\frac52"), ("2[3]", "5")],
    "names": [("T \\cdot o \\cdot m", "\\text{Tom}"), ("\\text{Mot}", "\\text{Tom}"), ("Mot", "Tom"), ("T*o*m", "Tom"), ("tmo", "\\text{tom}"), ("\\text{on}", "\\text{no}"), ("Evelny", "\\text{Evelyn}"), ("\\text{east}", "\\text{west}"), ("12", "\\text{even}"), ("\\text{even}", "e v e n s")],
    "bases": [("1011_3", "1011_2"), ("1011", "1011_2"), ("11", "1011_2"), ("1101_2", "1011_2"), ("1011_{12}", "1011_{2}"), ("1011_2", "11")],
    "units": [("5 m", "5\\text{ cm}"), ("5\\text{ m}", "5\\text{ cm}"), ("5\\text{ cm}^3", "5\\text{ cm}^2"), ("5\\text{ cm}", "5\\text{ cm}^2"), ("36 cents", "\\$36"), ("6 cm", "5\\text{ cm}"), ("5\\text{ hours}", "5\\text{ minutes}"), ("\\$5", "5\\%"), ("6.5", "65\\%"), ("5 km", "5 miles"), ("5\\text{ mph}", "5\\text{ km/h}")],
    "parts": [
        ("(1,2)", "(1,2,3)"), ("1,2", "[1,2]"), ("(1,2),(3,4)", "(1,2)\\cup(3,4)"),
        ("1", "1,2"), ("1,2,3", "1,2"), ("1,2", "1,3"), ("\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"), ("(1,2),(3,5)", "(3,4),(1,2)"), ("1+\\sqrt{19}", "1 \\pm \\sqrt{19}"), ("2:1", "1:2"), ("a=2,b=1", "a=1,b=2"),
        ("(1,2)\\cup(3,4)", "(1,2),(3,5)"), ("-1", f"{BOX}."), ("x=5", "y=5"),
    ],
    "unreadable": [
        ("\\text{if } x \\text{ then } y", "\\text{if } y \\text{ then } x"), ("2E", "2e"), ("(x^2)'", "x^2"), ("x_1'", "x_1"), ("f''(x)", "f'(x)"), ("y'", "y"),
        ("2", HBAR), (HBAR.replace("1 / 2", "3 / 2"), HBAR), ("\\frac23", ENERGIES), (ENERGIES.replace("{3} E_{1}", "{4} E_{1}"), ENERGIES), ("(3, 5", "5"), ("3 \\to 5", "5"), ("5)", "(3, 5"), ("the sum of 5", "5"), ("5 ??? 7", "7"), ("\\unknown{5}", "5"),
        ("x = y = ", "5"), ("3 + ", "3"), ("5 \\implies 6", "6"), ("\\frac{1}{", "1"), ("7 \\mod 3", "7"), ("12 = 4 \\cdot 3 \\text{ so } 4", "4"), ("1, 2, \\ldots, 9", "9"), ("3 & 4", "4"), ("a \\to b", "b"), ("1/2 or so", "\\frac12"),
    ],
}  # fmt: skip


def _pairs(cases: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str]]:
    return [pair for pairs in cases.values() for pair in pairs]


@pytest.mark.parametrize(("answer", "gold"), _pairs(SAME))
def test_the_same_answer_in_other_words_is_correct(answer: str, gold: str) -> None:
    assert equal(answer, gold, formulas.equal)
    assert equal(gold, answer, formulas.equal)


@pytest.mark.parametrize(("answer", "gold"), _pairs(DIFFERENT))
def test_a_different_answer_is_incorrect(answer: str, gold: str) -> None:
    assert not equal(answer, gold, formulas.equal)
    assert not equal(gold, answer, formulas.equal)


@pytest.mark.parametrize("sign", "。．｡۔।։።")
@pytest.mark.parametrize("answer", ["5", "x+1", "2x", "\\text{yes}", "(1,2)"])
def test_a_full_stop_of_any_script_ends_an_answer(answer: str, sign: str) -> None:
    assert equal(answer + sign, answer, formulas.equal)


@pytest.mark.parametrize(
    ("signs", "answer", "gold"),
    [
        ("×✕✖⨯·⋅∙•‧", "2?3", "6"),
        ("÷∕⁄", "6?4", "\\frac{3}{2}"),
        ("−–—‒―‐‑﹣－➖", "?5", "-5"),
        ("°˚º", "90?", "90^\\circ"),
        ("≤⩽≦", "x ? 3", "x \\le 3"),
        ("≥⩾≧", "x ? 3", "x \\ge 3"),
        ("，、،﹐፣；؛", "1? 2", "1,2"),
        ("：∶", "1?2", "1:2"),
        ("％٪﹪", "65?", "65\\%"),
    ],
)
def test_every_unicode_sign_equals_its_latex_command(signs: str, answer: str, gold: str) -> None:
    for sign in signs:
        assert equal(answer.replace("?", sign), gold, formulas.equal), sign


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("10^{-5}", "1e-5", True),
        ("-10^{5}", "-100000", True),
        ("2.75 \\times 10^{-11}", "2.75e-11", True),
        ("3×10^8", "3e8", True),
        ("0.\\bar{3}", "1/3", True),
        ("137 1/2", "137\\frac{1}{2}", True),
        ("1.5 million", "1500000", True),
        ("65\\%", "0.65", True),
        ("2,1", "1,2", True),
        ("A", "B", False),
        ("(A) 5", "B", False),
        ("Tom", "Ann", False),
        ("(1,2)", "(1,3)", False),
        ("1011_2", "11", False),
        ("1 + 0" + " + 0" * 1_000, "1", False),
        ("(" * 51 + "5" + ")" * 51, "5", False),
        (",".join(map(str, range(101))), ",".join(map(str, range(100, -1, -1))), False),
        ("2 \\cdot 10^{9999}", "20 \\cdot 10^{9998}", None),
        ("x^2", "x \\cdot x", None),
        ("(x^2, 1)", "(x \\cdot x, 1)", None),
    ],
)
def test_only_formulas_and_unreasonable_numbers_are_left_to_the_worker(
    answer: str, gold: str, same: bool | None
) -> None:
    """What is too long, too deep or has too many parts is compared as text."""
    assert equal(answer, gold, lambda one, other: None) is same
    assert equal(gold, answer, lambda one, other: None) is same


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.integers(1, 50), st.integers(0, 10**9))
def test_fractions_are_compared_exactly(above: int, below: int, factor: int, more: int) -> None:
    gold = f"\\frac{{{above}}}{{{below}}}"
    assert equal(f"\\frac{{{factor * above}}}{{{factor * below}}}", gold, lambda one, other: None)
    changed = f"\\frac{{{factor * above + more}}}{{{factor * below}}}"
    assert equal(changed, gold, lambda one, other: None) is (more == 0)


@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(alphabet="\\{}[](),;:._^=+-*/|<>&%$ 12exfractqtp", max_size=30),
)
def test_any_text_is_compared_without_an_error(one: str, other: str) -> None:
    assert equal(one, one, lambda left, right: None)
    assert equal(one, other, lambda left, right: None) in (True, False, None)
    assert equal(other, one, lambda left, right: None) in (True, False, None)


@pytest.mark.parametrize("name", SETS)
def test_gold_answers_equal_their_rewritings_and_not_their_changes(name: str, data_folder: Path) -> None:
    """A fixed sample; benchmarks/grading.py tries all gold answers."""
    golds = sorted({str(row["answer"]) for _, row in read_rows(data_folder / f"{name}.jsonl.gz")})
    failures = defaultdict(list)
    for gold in random.Random(name).sample(golds, SETS[name]):
        for variant, text in rewritings(gold):
            if not equal(text, gold, formulas.equal):
                failures[variant].append((text, gold))
        for variant, text in changes(gold):
            if equal(text, gold, formulas.equal):
                failures[variant].append((text, gold))
    assert not failures


def test_there_are_fifty_rewritings_and_fifty_changes() -> None:
    assert len(REWRITINGS) >= 50
    assert len(CHANGES) >= 50
