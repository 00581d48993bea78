"""Answers to multiple-choice questions: one letter."""

import re
from typing import Final

from steproute.core.boxed import closed_boxed
from steproute.core.final_line import is_heading, undressed
from steproute.core.statements import after_conclusion, lines_backwards, sentences_backwards, stated

_NOUNS: Final = frozenset({"answer", "option", "choice"})
_LETTER: Final = r"(?:\((?P<a>[A-Za-z])\)|\[(?P<b>[A-Za-z])\]|(?P<c>[A-Za-z])(?![A-Za-z]))"
_LABEL: Final = rf"(?P<noun>(?:(?i:option|choice|answer)\s*)?){_LETTER}"
_ALONE: Final = re.compile(rf"{_LABEL}\s*[).:]?")
_LED: Final = re.compile(
    rf"{_LABEL}(?:[).:](?=\s)|(?:(?<![a-z])\s*[).:,;]|(?<![a-z])\s+[(\u2013\u2014-]|(?<=[)\]])\s))"
)
_OTHER: Final = (
    r"(?:(?:maybe|perhaps|possibly|even|(?i:option|choice|answer))\s+)*(?:\([A-Za-z]\)|\[[A-Za-z]\]|[A-Z](?![A-Za-z'’])|"
    r"(?!i\.e|e\.g)[a-z](?=\s*(?:[.,;:!/]|$)))"
)
_SEVERAL: Final = re.compile(
    rf"\s*(?:[).:]\s*)?(?:(?:,\s*)?\(?(?:or|nor)\s+{_OTHER}|/\s*{_OTHER}|(?:,\s*(?:and\s+)?|and\s+|&\s*)(?!I\s+\w){_OTHER}"
    r"(?!\s+(?:is|are|was|has|have|does|do|can|cannot|would|fails|gives)\b))"
)
_TAKEN_BACK: Final = re.compile(
    r"[^\w]*(?:if|unless|when|assuming|provided|suppos\w*|but|maybe|perhaps|right|is|was|cannot|can|could|may|might|does|"
    r"seems|looks)\b",
    re.IGNORECASE,
)
_BEFORE_OTHER: Final = re.compile(
    r"(?:\([A-Za-z]\)|\[[A-Za-z]\]|\b[A-Za-z])\s*(?:,|(?:,\s*)?\b(?:or|and|nor)\b|/|&)\s*$"
)
_MAY_PRECEDE: Final = re.compile(
    r"(?:^|[,;:.()\u2013\u2014>*-]|\b(?:so|thus|therefore|hence|then|that|only|clearly|obviously|and|but|finally|now|"
    r"consequently|indeed|think|believe|conclude|know|see|find|say))\s*$",
    re.IGNORECASE,
)
_IS_OPTION: Final = re.compile(r"\b(?:option|choice|answer)\s*$", re.IGNORECASE)
_OTHER_CLAIM: Final = re.compile(
    r"\b(?:(?:statement|student|person|box|claim|assertion|equation|team)s?|"
    r"(?:is|are)\s+(?:also\s+)?(?:correct|right|true|valid))\b",
    re.IGNORECASE,
)
_IS_CORRECT: Final = re.compile(
    rf"(?P<before>(?:.*[\s,])?){_LETTER}(?i:\s+is\s+(?:(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice|one))?|"
    r"(?:the|our|my)\s+(?:final\s+)?(?:answer|choice)))"
)
_LONGEST_LABEL: Final = 40
_TEXT: Final = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf)|mbox)\s*\{([^{}]*)\}")


def choice(text: str) -> str | None:
    """The letter, as a capital, that `text` chooses last: in a box, alone on a line, or in a sentence that states it.

    Several letters, a list of options and headings such as "Option A:" choose none. A bare lower-case letter may be a
    variable: it counts in a box, behind "option" or "the answer is" and below a heading "Answer". None if no letter is
    chosen. Takes linear time.
    """
    for line, after in lines_backwards(text):
        boxed = closed_boxed(line)
        letter = letter_of(boxed) if boxed is not None else None
        letter = letter or (letter_of(after) if is_heading(line) else None) or _alone(line) or _in_a_sentence(line)
        if letter is not None:
            return letter
    return None


def letter_of(answer: str) -> str | None:
    """The letter of an answer such as `b`, `(B)`, `\\text{B}` or `B: 12 apples`, a capital; None unless it is one."""
    bare = undressed(_TEXT.sub(r"\1", answer).replace("\\ ", " "))
    if (alone := _ALONE.fullmatch(bare)) is not None:
        return _letter(alone)
    match = _LED.match(f"{bare} ")
    rest = bare[_end(match) :] if match else ""
    return None if _SEVERAL.match(rest) or _TAKEN_BACK.match(rest) else _letter(match)


def _alone(line: str) -> str | None:
    """The letter that a line consists of; "Option A:", "A)" and "### A" are headings."""
    bare = line.removeprefix("####").strip()
    match = _ALONE.fullmatch(undressed(bare))
    if match is None or match["noun"] or match[0][-1] == ":":
        return None
    is_marker = match["c"] and (match["c"].islower() or match[0][-1] == ")")
    return None if is_marker else _letter(match)


def _in_a_sentence(line: str) -> str | None:
    for sentence in sentences_backwards(line):
        statement = stated(sentence, _NOUNS)
        letter = letter_of(statement.value) if statement is not None else None
        letter = letter or _called_correct(undressed(sentence))
        if letter is not None:
            return letter
    return None


def _called_correct(sentence: str) -> str | None:
    """The B of "So option B is correct."."""
    match = _IS_CORRECT.fullmatch(sentence)
    if match is None or stated(f"{match['before']}the answer is A", _NOUNS) is None:
        return None
    before = after_conclusion(match["before"])
    if _BEFORE_OTHER.search(before[-_LONGEST_LABEL:]) or _OTHER_CLAIM.search(before):
        return None
    is_sure = _MAY_PRECEDE.search(before) and not (match["c"] or "A").islower()
    return _letter(match) if is_sure or _IS_OPTION.search(before) else None


def _end(match: re.Match[str]) -> int:
    """Where the label itself ends, brackets included."""
    return next(match.end(name) + (name != "c") for name in "abc" if match[name])


def _letter(match: re.Match[str] | None) -> str | None:
    letter = match and next((match[name] for name in "abc" if match[name]), None)
    return letter.upper() if letter else None
