import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steproute.core.boxed import closed_boxed, is_placeholder

balanced = st.recursive(
    st.text(st.characters(blacklist_characters="{}\\"), max_size=5),
    lambda inner: st.builds("".join, st.lists(st.one_of(inner, inner.map(lambda text: "{" + text + "}")), max_size=4)),
)
prose = st.sampled_from(["So", "Therefore x is", "First I got", "which is wrong. It is", "(as asked)", "\n\nCheck:"])
EMPTY = [
    "",
    " ",
    "\n",
    "\\,",
    "\\quad ",
    "...",
    "\\ldots",
    "\\dots",
    "…",
    "\\text{}",
    "\\text{ }",
    "\\cdots",
    "$$",
    "?",
    "__",
    "\\_",
    "\\square",
    "\\phantom{}",
    "\\phantom{00}",
    "\\hspace{2cm}",
    "\\hspace*{1em}",
    "\\underline{\\hspace{1cm}}",
    "\\rule{2cm}{0.4pt}",
    "\\enspace",
    "\\hfill",
]
ECHOED = ["answer", "Answer", "your answer", "\\text{answer}", "\\text{your final answer here}", "final answer", "the answer", "[answer]", "<answer>", "\\textbf{Answer}", "your_answer", "result", "ANSWER", "insert your answer here", "\\{answer\\}"]  # fmt: skip  # noqa: E501
ANSWERS = ["5", "-1", "\\frac{1}{2}", "x", "A", "\\text{no solution}", "\\text{yes}", "0", "\\emptyset", "\\{1, 2\\}", "+", "f(x)=x", "{}^{2}x", "\\text{Ann}", "\\pi", "\\infty"]  # fmt: skip  # noqa: E501
JOINS = [" and ", ", ", " or ", ", and ", ", or ", "$ and $", "\\) and \\(", "\\), \\(", "$, $", "\\quad \\text{and} \\quad ", " \\text{ or } ", "; ", " \\\\ ", "$ or $", "**, **", "\n", " ", "\\qquad ", "\\]\n\\[", " and $x = ", ", y = ", "$ and $k=", ",\\ ", " \\lor ", "$, and\n\n$", "\\end{align*} and \\begin{align*}"]  # fmt: skip  # noqa: E501
APART = [" which is wrong. The answer is ", ". So ", " = ", " + ", " \\times ", " then ", "\n\n", " or rather ", ". No, ", " < ", "\n\nSo ", " is impossible, so ", " and thus "]  # fmt: skip  # noqa: E501


@given(before=st.text(st.characters(blacklist_characters="{}\\")), content=balanced, after=balanced)
def test_any_balanced_content_comes_back(before: str, content: str, after: str) -> None:
    assume(not is_placeholder(content))
    assert closed_boxed(f"{before}\\boxed{{{content}}}{after}") == content


@given(st.text(alphabet="\\boxed{} 1,\n"))
def test_any_text_is_read_without_an_error_and_contents_are_from_it(text: str) -> None:
    found = closed_boxed(text)
    assert found is None or all(part in text for part in found.split(", "))


@pytest.mark.parametrize("content", EMPTY + ECHOED)
@pytest.mark.parametrize("box", ["\\boxed{%s}", "\\boxed {%s}", "\\fbox{%s}", "$\\boxed{%s}$", "\\boxed{\\boxed{%s}}"])
def test_a_box_that_holds_no_answer_is_none(content: str, box: str) -> None:
    empty = box % content
    assert closed_boxed(f"The answer goes within {empty}.") is None
    assert closed_boxed(f"So \\boxed{{5}}.\n\n(It is within {empty} as asked.)") == "5"
    assert closed_boxed(f"Put it in {empty}. So \\boxed{{5}}.") == "5"


@pytest.mark.parametrize("content", ANSWERS)
def test_short_answers_are_answers(content: str) -> None:
    assert closed_boxed(f"So \\boxed{{{content}}}.") == content


@given(
    st.lists(st.sampled_from(["1", "2", "3", "\\frac{1}{2}", "(1,2)"]), min_size=2, max_size=5, unique=True), st.data()
)
def test_boxes_joined_by_no_more_than_and_or_commas_are_one_answer(parts: list[str], data: st.DataObject) -> None:
    text = f"so $\\boxed{{{parts[0]}}}"
    for part in parts[1:]:
        text += data.draw(st.sampled_from(JOINS)) + f"\\boxed{{{part}}}"
    assert closed_boxed(f"First \\boxed{{9}} was wrong; {text}$.") == ", ".join(parts)


@pytest.mark.parametrize("between", APART)
def test_a_box_that_corrects_or_continues_another_is_the_answer_alone(between: str) -> None:
    assert closed_boxed(f"\\boxed{{2}}{between}\\boxed{{3}}") == "3"


@pytest.mark.parametrize("between", [*JOINS, *APART])
def test_a_box_that_repeats_the_same_answer_is_no_second_part(between: str) -> None:
    assert closed_boxed(f"\\boxed{{4}}{between}\\boxed{{4}}") == "4"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("\\boxed{1} then \\boxed{2", "1"),
        ("\\boxed{\\boxed{5}", None),
        ("\\boxed{a long remark with \\boxed{5} inside", None),
        ("\\boxed{never closed\n\nSo \\boxed{5}.", "5"),
        ("\\boxed{\n5\n\n}", "\n5\n\n"),
        ("\\boxed {3}", "3"),
        ("\\fbox{4}", "4"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{\\boxed{5}}", "\\boxed{5}"),
        ("\\boxed{never closed, \\boxed{5} and \\boxed{6", None),
        ("\\boxed{\\left\\{ 1 \\right.}", "\\left\\{ 1 \\right."),
        ("\\boxed{1}, \\boxed{2}, \\boxed{1}", "1, 2"),
        ("{ \\boxed{5}", "5"),
        ("\\boxed{5", None),
        ("\\boxed 5", None),
        ("k = \\boxed{-1} and k = \\boxed{-9}", "-1, -9"),
        ("\\boxed{1}, \\boxed{2}. To check: \\boxed{}", "1, 2"),
        ("", None),
    ],
)
def test_examples(text: str, content: str | None) -> None:
    assert closed_boxed(text) == content


def test_time_is_linear_in_hostile_text() -> None:
    """Each of these takes minutes if any part is quadratic."""
    for text in (
        "\\boxed{" * 200_000,
        "\\boxed{1}" * 30_000,
        "\\boxed{" * 50_000 + "}" * 50_000,
        "\\boxed{1} and " * 30_000,
        "\\boxed{1} and" + " " * 100_000 + "then \\boxed{2}",
        "\\boxed{1} and" + "$ " * 50_000 + "x_{" + "a" * 50_000 + " \\boxed{2}",
        "\\boxed{" + "\\hspace{" * 50_000 + "}" * 50_001,
    ):
        closed_boxed(text)
