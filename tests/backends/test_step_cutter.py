"""Steps and reasoning in a text that arrives in pieces: the same whatever the pieces, and in linear time."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from steproute.backends import reasoning
from steproute.backends.reasoning import TAGS, ends_in_reasoning, opens_reasoning, with_reasoning_closed
from steproute.backends.step_cutter import StepCutter
from steproute.core import splitting
from steproute.core.splitting import split_steps

SOLUTION = "2 + 3 = 5.\n\nSo \\boxed{5}."
REASONING = "Maybe 4? a < b, [1] \\boxed{4}.\n\nNo: <thin ◁ <| x.\n"
SIZES = (1, 2, 3, 5, 8, 13, 1000)
KINDS = [*TAGS, *((opening.upper(), closing.upper()) for opening, closing in TAGS[:4])]


def cut(text: str, sizes: list[int], **settings: Any) -> StepCutter:
    cutter, at = StepCutter("\n\n", **settings), 0
    for size in [*sizes, len(text)]:
        cutter.feed(text[at : at + size])
        at += size
    return cutter


def evenly(text: str, size: int) -> list[int]:
    return [size] * (len(text) // size + 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tags", KINDS)
def test_reasoning_between_any_models_tags_is_hidden(tags: tuple[str, str], size: int) -> None:
    opening, closing = tags
    forms = [
        f"{opening}{REASONING}{closing}{SOLUTION}",
        f"\n{opening}\n{REASONING}{closing}\n\n{SOLUTION}",
        f"{REASONING}{closing}{SOLUTION}",
        f"{opening}{REASONING}{closing}{opening}{REASONING}{closing}{SOLUTION}",
    ]
    for text in forms:
        for begins_in_reasoning in (None, True):
            if begins_in_reasoning and text != forms[2]:
                continue
            cutter = cut(text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=begins_in_reasoning)
            assert (cutter.text, cutter.closed, cutter.left_out) == ("2 + 3 = 5.", True, True), text
            whole = cut(
                text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=begins_in_reasoning, to_end=True
            )
            assert split_steps(whole.text, "\n\n") == ["2 + 3 = 5.", "So \\boxed{5}."], text
    unfinished = cut(f"{opening}{REASONING}", evenly(REASONING, size), hide_reasoning=True, begins_in_reasoning=None)
    assert (unfinished.text, unfinished.in_reasoning) == ("", True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>analysis<|message|>Hm.\n\n\\boxed{4}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
        "<|channel|>commentary<|message|>Hm.\n\n<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
        "analysisWe need 2 + 3.\n\nSo 5.assistantfinal{}",
        "<|START_THINKING|>Hm.\n\n<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
        "<|begin_of_thought|>Hm.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>{}<|end_of_solution|>",
        "<think>\nHm.\n\n</think>\n<answer>\n{}\n</answer>",
        "</think>\n\n<response>\n{}\n</response>\n",
        "<|channel>thought\nHm.\n\n<channel|>{}",
        "<|think|>Hm.\n\n<|end|><|begin|>assistant<|content|>{}<|end|>",
    ],
)
def test_what_models_that_reason_put_around_their_answers_is_left_out(text: str, size: int) -> None:
    text = text.replace("{}", SOLUTION)
    whole = cut(text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=None, to_end=True)
    assert split_steps(whole.text, "\n\n") == ["2 + 3 = 5.", "So \\boxed{5}."]
    step = cut(text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=None)
    assert (step.text, step.closed) == ("2 + 3 = 5.", True)


@pytest.mark.parametrize("size", SIZES)
def test_opened_reasoning_ends_with_its_own_tag_alone(size: int) -> None:
    text = f"<think>A user may write </thought>, or [/THINK].\n\nStill, 5.</think>{SOLUTION}"
    cutter = cut(text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=None)
    assert cutter.text == "2 + 3 = 5."


PARTS = [
    *(tag for pair in TAGS for tag in pair),
    "<thi",
    "nk>",
    "◁",
    "[",
    "<|",
    "|>",
    "\n\n",
    " \n",
    "\r",
    "a",
    "b ",
    "ⅻ",
]


@given(
    st.lists(st.sampled_from(PARTS), max_size=14).map("".join),
    st.lists(st.integers(1, 9), max_size=40),
    st.sampled_from([True, None, False]),
    st.booleans(),
)
@example("</think>a\n\n<think>", [1, 1, 9], True, False)
def test_hidden_reasoning_does_not_depend_on_the_pieces(
    text: str, sizes: list[int], begins_in_reasoning: bool | None, to_end: bool
) -> None:
    whole = cut(text, [], hide_reasoning=True, begins_in_reasoning=begins_in_reasoning, to_end=to_end)
    pieces = cut(text, sizes, hide_reasoning=True, begins_in_reasoning=begins_in_reasoning, to_end=to_end)
    assert (pieces.text, pieces.closed, pieces.in_reasoning) == (whole.text, whole.closed, whole.in_reasoning)


@given(st.text(alphabet="ab \n\r<>[]think/", max_size=60), st.lists(st.integers(1, 5), max_size=60))
def test_a_text_without_tags_is_cut_as_it_is_split(text: str, sizes: list[int]) -> None:
    assume(not reasoning._TAG.search(text))
    for settings in ({}, {"hide_reasoning": True}):
        cutter = cut(text, sizes, **settings)
        assert cutter.text == split_steps(text, "\n\n")[0]
        assert split_steps(cut(text, sizes, to_end=True, **settings).text, "\n\n") == split_steps(text, "\n\n")


@pytest.mark.parametrize("pieces", [["Step 1.\n\nSt"], ["Step 1", ".\n", "\n", "St"], list("Step 1.\n\nSt")])
def test_an_echo_is_left_out_whole_and_a_part_of_one_is_text(pieces: list[str]) -> None:
    def step(*more: str) -> str:
        cutter = StepCutter("\n\n", echo="Step 1.\n\nStep 2.\n\n")
        for piece in [*pieces, *more]:
            cutter.feed(piece)
        return cutter.text

    assert step("ep 2.\n\nStep 3.") == "Step 3."
    assert step("art\n\nmore") == "Step 1."
    assert step() == "Step 1."


@pytest.mark.parametrize("size", SIZES)
def test_an_echo_may_follow_reasoning_that_nothing_opened(size: int) -> None:
    text = "Step 1 is there.\n\nOn.</think>Step 1.\n\nStep 2.\n\nMore"
    cutter = cut(text, evenly(text, size), hide_reasoning=True, begins_in_reasoning=None, echo="Step 1.\n\n")
    assert cutter.text == "Step 2."


def test_the_beginning_of_a_tag_after_the_separator_came_after_it() -> None:
    cutter = cut("Step 1.\n\n<th", [], hide_reasoning=True)
    assert (cutter.text, cutter.complete, cutter.beyond) == ("Step 1.", True, 3)


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_a_prompt_that_opens_reasoning_is_closed_with_the_models_own_tag(opening: str, closing: str) -> None:
    prompt = f"<user>2 + 3?<model>{opening}\n"
    assert opens_reasoning(prompt)
    assert with_reasoning_closed(prompt, "hide", False) == prompt
    for closed in (with_reasoning_closed(prompt, "hide", True), with_reasoning_closed(prompt, "off", False)):
        assert closed == f"<user>2 + 3?<model>{opening}\n\n{closing}\n\n"
        assert not opens_reasoning(closed)
        assert not ends_in_reasoning(closed)
    assert ends_in_reasoning(f"{opening} hm")


def test_a_harmony_prompt_leaves_it_open_whether_there_is_reasoning() -> None:
    prompt = "<|start|>user<|message|>2 + 3?<|end|><|start|>assistant"
    assert opens_reasoning(prompt) is None
    assert with_reasoning_closed(prompt, "hide", False) == with_reasoning_closed(prompt, "keep", True) == prompt
    assert with_reasoning_closed(prompt, "hide", True) == f"{prompt}<|channel|>final<|message|>"


class Counting:
    """A pattern that counts the characters that it is given to look at."""

    inspected = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def search(self, text: str, at: int = 0) -> re.Match[str] | None:
        found = self._pattern.search(text, at)
        Counting.inspected += (found.end() if found else len(text)) - at
        return found

    def finditer(self, text: str) -> Any:
        Counting.inspected += len(text)
        return self._pattern.finditer(text)


TEXTS: dict[str, Callable[[int], str]] = {
    "one long step": lambda n: "word " * (n // 5),
    "reasoning": lambda n: "<think>" + "hm, so\n\n" * (n // 8) + "</think>x\n\n",
    "white space": lambda n: "a" + " " * n + "b",
    "line breaks": lambda n: "\n" * n + "a",
    "blank lines within": lambda n: "a\n" + " " * n,
    "many tags": lambda n: "<think>a</think>" * (n // 16),
    "beginnings of tags": lambda n: "<thin" * (n // 5),
}


@pytest.mark.parametrize("piece", [1, 4, 1000, 10**9])
@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("kind", TEXTS)
def test_the_characters_that_are_looked_at_grow_with_the_text_alone(
    kind: str, hide: bool, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((reasoning, "_TAG"), (reasoning, "_END")):
        monkeypatch.setattr(module, name, Counting(getattr(module, name)))
    monkeypatch.setattr(reasoning, "_END_OF", {tag: Counting(end) for tag, end in reasoning._END_OF.items()})
    pattern = splitting._break
    monkeypatch.setattr(splitting, "_break", lambda separator: Counting(pattern(separator)))

    def inspected(size: int) -> int:
        text = TEXTS[kind](size)
        Counting.inspected = 0
        cut(text, evenly(text, min(piece, size)), hide_reasoning=hide, begins_in_reasoning=None)
        return Counting.inspected

    small, large = inspected(4000), inspected(16000)
    assert large <= 4.2 * small + 100
    assert small <= 60 * 4000


def test_one_long_piece_is_searched_once_for_the_beginning_of_a_tag() -> None:
    """A search from each of its characters to its end takes 50 times as long."""
    text = "a < b, " * 20_000
    began = time.process_time()
    assert cut(text, [], hide_reasoning=True, begins_in_reasoning=None).text == text.rstrip()
    assert time.process_time() - began < 0.5
