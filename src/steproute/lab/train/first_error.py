"""Where in an incorrect step the error is: the first token after which no correct step can follow."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.network import shared_length
from steproute.lab.story import Story
from steproute.lab.tokenizer import Tokenizer

_OPERANDS: Final = re.compile(r" has (\w+ \d+) ([+*]) ((?:\w+ )?\d+) = ")


def first_error(tokenizer: Tokenizer, story: Story, correct_steps: Sequence[str], step: str) -> int:
    """Index of the first incorrect token of `step`, which follows `correct_steps`; its length if there is none."""
    tokens = tokenizer.encode(step)
    return max(
        (shared_length(tokens, tokenizer.encode(text)) for text in correct_next(story, correct_steps)), default=0
    )


def correct_next(story: Story, correct_steps: Sequence[str]) -> Iterator[str]:
    """Every text that the checker accepts as the next step."""
    labels = {int(step[1 : step.index(")")]) for step in correct_steps}
    values: dict[str, int] = {}
    for sentence in story.relevant:
        if sentence.label in labels:
            values[sentence.x] = sentence.value(values)
    for sentence in story.relevant:
        if sentence.label not in labels and {sentence.left, sentence.z} - {""} <= values.keys():
            text = sentence.step(values)
            for written in {text, _OPERANDS.sub(r" has \3 \2 \1 = ", text)}:
                for ended in (written, f"{written} So the answer is \\boxed{{{story.answer}}}."):
                    if check_steps(story, [*correct_steps, ended])[-1] is StepLabel.CORRECT:
                        yield ended
