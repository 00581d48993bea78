"""The lab's language: every sentence a story can hold, as templates that both write and read it.

Slots: `{x}` the person a sentence defines or changes, `{y}` and `{z}` the people it refers to, `{n}` a number,
`{o}` the objects the story counts, `{p}` other objects, `{c}` a colour.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Final

NAMES: Final = (
    "Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kira", "Leo",
    "Mia", "Noah", "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tara", "Uma", "Vera", "Will", "Zoe",
)  # fmt: skip
OBJECTS: Final = ("apples", "books", "coins", "cards", "pens", "shells", "stamps", "stones", "tickets", "toys")
COLOURS: Final = ("blue", "green", "red", "white", "yellow")


class Op(StrEnum):
    """What a sentence does to the person `{x}`; the value is the arithmetic sign its step writes."""

    FACT = "fact"
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    GAIN = "gain"
    LOSE = "lose"
    GROW = "grow"
    SHARE = "share"
    SUM = "sum"
    DIFFERENCE = "difference"
    ASIDE = "aside"
    QUESTION = "question"


SIGNS: Final[Mapping[Op, str]] = {
    Op.ADD: "+", Op.GAIN: "+", Op.SUM: "+",
    Op.SUBTRACT: "-", Op.LOSE: "-", Op.DIFFERENCE: "-",
    Op.MULTIPLY: "*", Op.GROW: "*",
    Op.DIVIDE: "/", Op.SHARE: "/",
}  # fmt: skip

TEMPLATES: Final[Mapping[Op, tuple[str, ...]]] = {
    Op.FACT: (
        "{x} has {n} {o}.",
        "{x} starts with {n} {o}.",
        "At first {x} owns {n} {o}.",
        "There are {n} {o} in the bag of {x}.",
    ),
    Op.ADD: (
        "{x} has {n} more {o} than {y}.",
        "{x} has as many {o} as {y} plus {n} more.",
        "Compared with {y}, {x} has {n} extra {o}.",
    ),
    Op.SUBTRACT: (
        "{x} has {n} fewer {o} than {y}.",
        "{x} has as many {o} as {y} minus {n}.",
        "Compared with {y}, {x} is missing {n} {o}.",
    ),
    Op.MULTIPLY: (
        "{x} has {n} times as many {o} as {y}.",
        "For each of the {o} of {y}, {x} has {n}.",
        "{x} has {n} times the {o} of {y}.",
    ),
    Op.DIVIDE: (
        "{x} has as many {o} as {y} divided by {n}.",
        "{x} has one of {n} equal shares of the {o} of {y}.",
    ),
    Op.GAIN: ("{x} buys {n} more {o}.", "Then {x} gets {n} new {o}.", "{x} wins another {n} {o}."),
    Op.LOSE: ("{x} gives away {n} {o}.", "Then {x} loses {n} {o}.", "{x} sells {n} of the {o}."),
    Op.GROW: ("The {o} of {x} grow {n} times as many.", "Now {x} multiplies the {o} by {n}."),
    Op.SHARE: ("{x} splits the {o} into {n} equal piles and keeps one.", "Now {x} keeps one of {n} equal shares."),
    Op.SUM: (
        "{x} has as many {o} as {y} and {z} together.",
        "Together {y} and {z} match the {o} of {x}.",
    ),
    Op.DIFFERENCE: (
        "The {o} of {x} are those of {y} minus those of {z}.",
        "{x} has as many {o} as {y} has more than {z}.",
    ),
    Op.ASIDE: (
        "{x} also has {n} {p}.",
        "{x} is {n} years old.",
        "{x} likes {c} {p}.",
        "The shop opens at {n}.",
        "It is a sunny day.",
    ),
    Op.QUESTION: (
        "How many {o} does {x} have now?",
        "What is the number of {o} that {x} has?",
        "Find how many {o} {x} has in the end.",
    ),
}

_SLOTS: Final[Mapping[str, str]] = {
    "x": "|".join(NAMES),
    "y": "|".join(NAMES),
    "z": "|".join(NAMES),
    "n": r"\d{1,4}",
    "o": "|".join(OBJECTS),
    "p": "|".join(OBJECTS),
    "c": "|".join(COLOURS),
}


@cache
def readers() -> tuple[tuple[Op, re.Pattern[str]], ...]:
    """Every template as a pattern with one named group for each slot."""
    return tuple((op, _pattern(template)) for op, templates in TEMPLATES.items() for template in templates)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w)\}", template)
    body = "".join(
        re.escape(part) if index % 2 == 0 else f"(?P<{part}>{_SLOTS[part]})" for index, part in enumerate(parts)
    )
    return re.compile(body)


def words() -> list[str]:
    """All word and punctuation tokens that stories and solutions use, sorted; digits and labels are not among them."""
    text = " ".join(template for templates in TEMPLATES.values() for template in templates)
    plain = re.findall(r"[A-Za-z]+|[.,?]", re.sub(r"\{\w\}", " ", text))
    return sorted({*plain, *NAMES, *OBJECTS, *COLOURS, "So", "the", "answer", "is"})
