"""Final answers: the contents of the last `\\boxed{…}` that holds an answer."""

import re
from dataclasses import dataclass
from typing import Final

_MARK: Final = re.compile(r"(?P<box>\\f?box(?:ed)?\s*\{)|\\.|(?P<brace>[{}])|(?P<blank>\n[^\S\n]*\n)", re.DOTALL)
_SPACING: Final = (
    r"\s|\$|\\[()\[\],;:! ]|\\q?quad(?![A-Za-z])|\\(?:displaystyle|left|right|hfill|newline|\\)|~|&|\*\*|"
    r"\\(?:begin|end)\{(?:aligned|align\*?|gathered|equation\*?)\}"
)
_CONNECTIVE: Final = (
    r",|;|\\(?:text|mathrm|mbox|textrm)\s*\{[\s,;]*(?:and|or)?[\s,;]*\}|"
    r"\band\b|\bor\b|\\(?:land|lor|wedge|vee)(?![A-Za-z])"
)
_NAME: Final = r"(?:\$|\\\(|\s)*(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:\w|\{\w+\}))?(?:\([A-Za-z0-9]+\))?\s*=\s*"
_BETWEEN: Final = re.compile(
    rf"(?:{_SPACING})*(?P<connective>(?:{_CONNECTIVE})(?:{_SPACING}|{_CONNECTIVE})*(?:{_NAME})?(?:{_SPACING})*)?"
)
_LINES: Final = re.compile(r"\n[^\S\n]*\n")
_LONGEST_JOIN: Final = 200
_DRESS: Final = re.compile(
    r"\\(?:[hv]space|[hv]?phantom|rule)(?![A-Za-z])\*?(?:\s*\{[^{}]*\})*|"
    r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|boxed|fbox|boldsymbol|underline|hfill|newline)(?![A-Za-z])|"
    r"\\(?:en|thin|med|thick|nobreak)?space(?![A-Za-z])|"
    r"\\(?:quad|qquad|[lcv]?dots[cbmio]?|cdots?|square|Box|_|#|bullet|star|ast|displaystyle)(?![A-Za-z])|[^\w\\+|-]|_|\\[^A-Za-z]"
)
_PLACEHOLDER: Final = re.compile(
    r"(?:(?:your|the|my|final|numerical|correct|only|single|exact|simplified|insert|put|enter|write|place|goes|here|in|"
    r"this|box|a|an|number|value|letter|option|choice|latex|form)\s+)*"
    r"(?:answer|result|solution|response|final|ans)(?:\s+(?:here|goes|value|number|letter|in|this|box|form|of|to|the|problem|question|only))*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a box begins, where its contents begin and end, and the number of its paragraph."""

    start: int
    inside: int
    end: int
    paragraph: int


def closed_boxed(text: str) -> str | None:
    """The final answer that `text` gives: the contents of its last closed `\\boxed{…}` (or `\\fbox{…}`).

    Boxes that hold nothing, or repeat the instruction, are no answers. Boxes that follow each other with no more than
    "and", "or", commas and mathematics delimiters between them are one answer of several parts, joined by commas. A box
    inside one that is not closed in the same paragraph does not count. None if there is no answer. Takes linear time.
    """
    if "box" not in text:
        return None
    boxes = [box for box in _closed_boxes(text) if not is_placeholder(text[box.inside : box.end])]
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _is_joined(text[boxes[first - 1].end + 1 : boxes[first].start]):
        first -= 1
    return ", ".join(dict.fromkeys(text[box.inside : box.end] for box in boxes[first:]))


def is_placeholder(contents: str) -> bool:
    """Whether a box holds no answer: nothing, dots, or words such as "your answer"."""
    words = " ".join(_DRESS.sub(" ", contents).split())
    return not words or _PLACEHOLDER.fullmatch(words) is not None


def _closed_boxes(text: str) -> list[_Box]:
    """The outermost closed boxes, in order."""
    opened: list[_Box | None] = []
    closed: list[_Box] = []
    paragraph = 0
    for mark in _MARK.finditer(text):
        if mark["blank"]:
            paragraph += 1
        elif mark["box"]:
            opened.append(_Box(mark.start(), mark.end(), -1, paragraph))
        elif mark["brace"] == "{":
            opened.append(None)
        elif mark["brace"] == "}" and opened and (box := opened.pop()) is not None:
            while closed and closed[-1].start > box.start:
                closed.pop()
            closed.append(_Box(box.start, box.inside, mark.start(), box.paragraph))
    unclosed = {box.paragraph: box.start for box in reversed(opened) if box is not None}
    return [box for box in closed if box.start < unclosed.get(box.paragraph, len(text))]


def _is_joined(between: str) -> bool:
    """Whether what stands between two boxes makes them parts of one answer."""
    match = _BETWEEN.fullmatch(between) if len(between) <= _LONGEST_JOIN else None
    return match is not None and (match["connective"] is not None or _LINES.search(between) is None)
