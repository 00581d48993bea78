"""Sentences of lab stories with their steps: the examples that lab-weak-hinted can read."""

import re
from itertools import islice
from typing import Final

from steproute.core.errors import DatasetError
from steproute.lab.story import Story, generate
from steproute.lab.tokenizer import MAX_LABEL

_BANK_SEED: Final = 79
_LABEL: Final = re.compile(r"\((\d+)\)")


def sentence_steps(story: Story) -> list[tuple[str, str]]:
    """(sentence, correct step) of each relevant sentence, the sentence with its label."""
    return [(sentence_of(story, step), step) for step in story.solution()]


def sentence_of(story: Story, step: str) -> str:
    """The sentence that a step works on, with its label. Raises DatasetError if the story has none of that label."""
    match = _LABEL.match(step)
    for sentence in story.relevant:
        if match is not None and sentence.label == int(match.group(1)):
            return f"({sentence.label}) {sentence.text}"
    raise DatasetError(f"lab step: {step!r} works on no sentence of its story.", remedy="Use correct steps.")


def training_pairs(count: int) -> list[tuple[str, str]]:
    """The first `count` (sentence, step) pairs of the training stories of one seed."""
    stories = (Story.parse(problem.text) for problem in generate("train", seed=_BANK_SEED))
    return list(islice((pair for story in stories for pair in sentence_steps(story)), count))


def as_read(example: str) -> str:
    """An example as the model reads it: numbered as no sentence of a story is, so that it is taken for none of them."""
    return _LABEL.sub(f"({MAX_LABEL})", example)
