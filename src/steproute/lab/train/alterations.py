"""Steps with one thing changed: the incorrect half of a training pair, made from the text alone."""

import re
from typing import Final

import numpy as np

from steproute.lab.story import MAX_VALUE
from steproute.lab.wording import NAMES

_NUMBER: Final = re.compile(r"(?<![(\d])\d+(?![)\d])")
_SIGN: Final = re.compile(r" ([-+*/]) ")


def altered(step: str, rng: np.random.Generator, *, keep_result: bool = False) -> str:
    """The step with another result (mostly), operand, sign or person; never the same text.

    The boxed answer, if there is one, repeats the step's result and changes with it. keep_result: all but the result
    may change; a step that is nothing but its result names another person.
    """
    body, marker, _ = step.partition(" So the answer")
    changed = body
    while changed == body:
        draw = rng.random()
        numbers = len(_NUMBER.findall(body)) - keep_result
        if draw < 0.6 and not keep_result:
            changed = _other_number(body, numbers - 1, rng)
        elif draw < 0.75 and numbers:
            changed = _other_number(body, int(rng.integers(numbers)), rng)
        elif draw < 0.9:
            changed = _SIGN.sub(lambda _: f" {'+-*/'[rng.integers(4)]} ", body)
        else:
            names = [name for name in NAMES if re.search(rf"\b{name}\b", body)]
            changed = re.sub(rf"\b{names[rng.integers(len(names))]}\b", NAMES[rng.integers(len(NAMES))], body)
    if not marker:
        return changed
    return f"{changed} So the answer is \\boxed{{{_NUMBER.findall(changed)[-1]}}}."


def _other_number(body: str, which: int, rng: np.random.Generator) -> str:
    """Another number in the place of the one of that index: near it, a digit off, or any."""
    match = list(_NUMBER.finditer(body))[which]
    value = int(match.group())
    nearby = (value + int(rng.integers(-3, 4)), value + 10 * int(rng.integers(-2, 3)), int(rng.integers(1, MAX_VALUE)))
    new = max(1, nearby[rng.integers(3)])
    return f"{body[: match.start()]}{new}{body[match.end() :]}"
