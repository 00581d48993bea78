"""The exact checker of the lab: is each step correct in its context, the first error, or after it?"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from steproute.lab.story import Sentence, Story
from steproute.lab.wording import SIGNS, Op

_STEP: Final = re.compile(
    r"\((?P<label>\d+)\) (?P<x>\w+) has "
    r"(?:(?P<left>(?:\w+ )?\d+) (?P<sign>[-+*/]) (?P<right>(?:\w+ )?\d+) = )?(?P<value>\d+)\."
    r"(?: So the answer is \\boxed\{(?P<answer>\d+)\}\.)?"
)
_COMMUTATIVE: Final = frozenset("+*")


class StepLabel(StrEnum):
    """A step's place in its solution."""

    CORRECT = "correct"
    FIRST_ERROR = "first_error"
    AFTER_ERROR = "after_error"


def check_steps(story: Story, steps: Sequence[str]) -> list[StepLabel]:
    """One label per step.

    A step is correct if it works on a relevant sentence that has no step yet, every earlier sentence that it depends on
    has one, and its expression and value are the sentence's; a boxed answer must be the story's. Any order that
    respects these dependencies is right.
    """
    verdicts: list[StepLabel] = []
    done: set[int] = set()
    values: dict[str, int] = {}
    for text in steps:
        if verdicts and verdicts[-1] is not StepLabel.CORRECT:
            verdicts.append(StepLabel.AFTER_ERROR)
            continue
        sentence = _right_sentence(story, text, done, values)
        if sentence is None:
            verdicts.append(StepLabel.FIRST_ERROR)
            continue
        done.add(sentence.label)
        values[sentence.x] = sentence.value(values)
        verdicts.append(StepLabel.CORRECT)
    return verdicts


def _right_sentence(story: Story, text: str, done: set[int], values: dict[str, int]) -> Sentence | None:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        return None
    sentence = next((s for s in story.relevant if s.label == int(match["label"])), None)
    if sentence is None or sentence.label in done or sentence.x != match["x"]:
        return None
    if any(s.label < sentence.label and s.label not in done and _must_precede(s, sentence) for s in story.relevant):
        return None
    if int(match["value"]) != sentence.value(values) or not _expression_right(sentence, match, values):
        return None
    if match["answer"] is not None and not _answer_right(story, int(match["answer"]), sentence, done):
        return None
    return sentence


def _must_precede(earlier: Sentence, later: Sentence) -> bool:
    """Whether the order of the two matters: one writes a person that the other reads or writes."""
    return earlier.x in (later.x, later.y, later.z) or later.x in (earlier.y, earlier.z)


def _expression_right(sentence: Sentence, match: re.Match[str], values: dict[str, int]) -> bool:
    if sentence.op is Op.FACT:
        return match["sign"] is None
    if match["sign"] != SIGNS[sentence.op]:
        return False
    left = f"{sentence.left} {values[sentence.left]}"
    right = f"{sentence.z} {values[sentence.z]}" if sentence.z else str(sentence.n)
    written = (match["left"], match["right"])
    return written == (left, right) or (match["sign"] in _COMMUTATIVE and written == (right, left))


def _answer_right(story: Story, answer: int, sentence: Sentence, done: set[int]) -> bool:
    finished = {s.label for s in story.relevant} == {*done, sentence.label}
    return finished and answer == story.answer
