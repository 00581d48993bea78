"""Answers to multiple-choice questions: one letter."""

import re
from typing import Final

from steproute.core.boxed import closed_boxed
from steproute.core.final_line import undressed
from steproute.core.statements import lines_backwards, sentences_backwards, stated

_NOUNS: Final = frozenset({"answer", "option", "choice"})
_LABEL: Final = r"(?:option|choice|answer)?\s*(?:\((?P<a>[A-Za-z])\)|\[(?P<b>[A-Za-z])\]|(?P<c>[A-Za-z]))"
_ALONE: Final = re.compile(rf"{_LABEL}\s*[).:]?", re.IGNORECASE)
_LED: Final = re.compile(rf"{_LABEL}(?:\s*[).:,;]|\s+[(\u2013\u2014-]|(?<=[)\]])\s)", re.IGNORECASE)
_IS_CORRECT: Final = re.compile(
    rf"(?:.*[\s,])?{_LABEL}\s+is\s+(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice|one))?", re.IGNORECASE
)
_TEXT: Final = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf)|mbox)\s*\{([^{}]*)\}")


def choice(text: str) -> str | None:
    """The letter, as a capital, that `text` chooses last: in a box, alone on a line, or in a sentence that states it.

    A list of options chooses none. None if no letter is chosen. Takes linear time.
    """
    for line, _ in lines_backwards(text):
        boxed = closed_boxed(line)
        found = (letter_of(boxed) if boxed is not None else None) or _alone(line) or _in_a_sentence(line)
        if found is not None:
            return found
    return None


def letter_of(answer: str) -> str | None:
    """The letter of an answer such as `b`, `(B)`, `\\text{B}` or `B: 12 apples`, as a capital; None if it has none."""
    bare = undressed(_TEXT.sub(r"\1", answer).replace("\\ ", " "))
    return _letter(_ALONE.fullmatch(bare) or _LED.match(f"{bare} "))


def _alone(line: str) -> str | None:
    return _letter(_ALONE.fullmatch(undressed(line.lstrip("# "))))


def _in_a_sentence(line: str) -> str | None:
    for sentence in sentences_backwards(line):
        statement = stated(sentence, _NOUNS)
        if statement is not None and (letter := letter_of(statement.value)) is not None:
            return letter
        match = _IS_CORRECT.fullmatch(undressed(sentence))
        if match is not None and stated(f"{sentence[: _start(match)]}the answer is A", _NOUNS) is not None:
            return _letter(match)
    return None


def _start(match: re.Match[str]) -> int:
    return next(match.start(name) for name in "abc" if match[name])


def _letter(match: re.Match[str] | None) -> str | None:
    found = match and next((match[name] for name in "abc" if match[name]), None)
    return found.upper() if found else None
