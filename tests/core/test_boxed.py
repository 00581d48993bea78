import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.boxed import closed_boxed

balanced = st.recursive(
    st.text(st.characters(blacklist_characters="{}\\"), max_size=5),
    lambda inner: st.builds("".join, st.lists(st.one_of(inner, inner.map(lambda text: "{" + text + "}")), max_size=4)),
)


@given(before=st.text(st.characters(blacklist_characters="{}\\")), content=balanced, after=balanced)
def test_any_balanced_content_comes_back(before: str, content: str, after: str) -> None:
    assert closed_boxed(f"{before}\\boxed{{{content}}}{after}") == content


@given(st.text(alphabet="\\boxed{} 1"))
def test_any_text_is_read_without_an_error_and_contents_stand_in_it(text: str) -> None:
    found = closed_boxed(text)
    assert found is None or found in text


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("\\boxed{1} then \\boxed{2", "1"),
        ("\\boxed {3}", "3"),
        ("\\fbox{4}", "4"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("{ \\boxed{5}", "5"),
        ("\\boxed{5", None),
        ("\\boxed 5", None),
        ("", None),
    ],
)
def test_examples(text: str, content: str | None) -> None:
    assert closed_boxed(text) == content
