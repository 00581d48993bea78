from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.core.splitting import FirstStep, split_steps, step_spans

SEPARATORS = ("\n\n", "\n", "\n\n\n", ". ", "###", "aba", " ")
TEXTS = st.text(alphabet="ab\n\r\t #.\x0b\u2028\u00a0é", max_size=60)
BREAKS = [
    *("\n\n", "\n\n\n", "\n" * 7, "\r\n\r\n", "\n \n", "\n\t\n", " \n \t \n", "\r\n \r\n", "\n\x0b\n", "\n\u00a0\n"),
    *("  \n\n", "\t\r\n\t\r\n\r\n", "\n\u3000\n", "\n\u2028\n", " \n\n \n\n"),
]


def in_pieces(text: str, separator: str, sizes: list[int]) -> list[str]:
    """All steps of a text that arrives in pieces of these sizes, one after the other as the loop asks for them."""
    steps, at = [], 0
    while True:
        step = FirstStep(separator)
        start = at
        for size in [*sizes, len(text)]:
            step.feed(text[at : at + size])
            at = min(len(text), at + size)
            if step.complete:
                break
        steps.append(step.text)
        if not step.complete:
            return [each for each in steps if each] or [""]
        at -= step.beyond
        assert at > start


@given(TEXTS, st.sampled_from(SEPARATORS), st.lists(st.integers(1, 7), max_size=60))
@example("ababa b", "aba", [2, 1, 2])  # what ended a step begins no second separator
def test_steps_are_the_same_at_once_and_in_pieces(text: str, separator: str, sizes: list[int]) -> None:
    assert in_pieces(text, separator, sizes) == split_steps(text, separator)


@given(st.text(), st.lists(st.integers(1, 3), max_size=60))
def test_steps_of_any_text_are_the_same_at_once_and_in_pieces(text: str, sizes: list[int]) -> None:
    assert in_pieces(text, "\n\n", sizes) == split_steps(text, "\n\n")


@given(TEXTS, st.sampled_from(SEPARATORS))
def test_steps_hold_all_of_the_text_but_separators_and_none_is_blank(text: str, separator: str) -> None:
    steps = split_steps(text, separator)
    assert not any(separator in step for step in steps)
    assert all(step.strip() for step in steps) or steps == [""]
    assert [text[start:end] for start, end in step_spans(text, separator)] == steps
    assert "".join("".join(steps).split()) == "".join("".join(text.split(separator)).split())


@given(TEXTS, st.sampled_from(SEPARATORS[:3]))
def test_steps_that_are_joined_are_the_same_steps(text: str, separator: str) -> None:
    steps = split_steps(text, separator)
    assert split_steps(separator.join(steps), separator) == steps


@pytest.mark.parametrize(("between", "around"), list(product(BREAKS, ["", "\n", "\n\n", " \n\n\t\n", "\r\n\r\n"])))
def test_every_form_of_a_blank_line_ends_a_step(between: str, around: str) -> None:
    text = f"{around}a = 2{between}b = 3\n  and more{between}so \\boxed{{5}}{around}"
    assert split_steps(text, "\n\n") == ["a = 2", "b = 3\n  and more", "so \\boxed{5}"]
    for size in (1, 2):
        assert in_pieces(text, "\n\n", [size] * len(text)) == split_steps(text, "\n\n")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_separator_may_come_a_character_a_piece(separator: str) -> None:
    text = f"x{separator}y{separator}z"
    assert in_pieces(text, separator, [1] * len(text)) == ["x", "y", "z"]


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n", "\r\n\r\n \n", "\t"])
def test_a_blank_text_is_one_empty_step(text: str) -> None:
    assert split_steps(text, "\n\n") == [""]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a\nb", ["a\nb"]),
        ("a\n\n  b", ["a", "  b"]),
        ("  a\n b \n\n\n \n   c ", ["  a\n b", "   c"]),
        ("a\r\nb\r\n\r\nc", ["a\r\nb", "c"]),
    ],
)
def test_a_single_line_break_and_indentation_stay(text: str, steps: list[str]) -> None:
    assert split_steps(text, "\n\n") == steps


def test_an_empty_separator_is_refused() -> None:
    for split in (split_steps, step_spans, lambda text, separator: FirstStep(separator)):
        with pytest.raises(ConfigError, match="separator: is empty"):
            split("text", "")
