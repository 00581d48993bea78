"""Where steps end: one rule for text that is complete and for text that arrives in pieces."""

import re
from functools import cache

from steproute.core.errors import ConfigError


def split_steps(text: str, separator: str) -> list[str]:
    """The steps of `text`, none of them blank; one empty step if there is no other.

    A separator of line breaks is a number of lines, so white space in a blank line, a carriage return and further blank
    lines belong to it. A step keeps its indentation and loses the white space at its end. Raises ConfigError for an
    empty separator.
    """
    return [text[start:end] for start, end in step_spans(text, separator)]


def step_spans(text: str, separator: str) -> list[tuple[int, int]]:
    """Where in `text` each of its steps begins and ends."""
    spans, begin = [], 0
    for found in _break(separator).finditer(text):
        spans.append(_trimmed(text, begin, found.start()))
        begin = found.end()
    spans.append(_trimmed(text, begin, len(text)))
    return [(start, end) for start, end in spans if start < end] or [(0, 0)]


class FirstStep:
    """The first step of a text that arrives in pieces, the same as `split_steps` has it, in time linear in the text.

    to_end: it ends with the text. complete: whether a separator has ended it. beyond: how many characters came after
    that separator. Raises ConfigError for an empty separator.
    """

    def __init__(self, separator: str, *, to_end: bool = False) -> None:
        self.complete, self.beyond = False, 0
        self._separator, self._break = separator, None if to_end else _break(separator)
        self._seam, self._parts = "", [""]

    def __copy__(self) -> "FirstStep":
        other = FirstStep(self._separator, to_end=self._break is None)
        other.complete, other.beyond, other._seam, other._parts = self.complete, self.beyond, self._seam, [*self._parts]
        return other

    def feed(self, piece: str) -> None:
        """Take the next piece."""
        if self.complete:
            self.beyond += len(piece)
            return
        text, begin = self._seam + piece, len(self._seam)
        for found in self._break.finditer(text) if self._break else ():
            self._parts.append(text[begin : found.start()])
            if found.start() < begin:  # it began in the piece before
                self._parts = ["".join(self._parts)[: found.start() - begin]]
            if self.text:
                self.complete, self.beyond = True, len(text) - found.end()
                return
            begin, self._parts, self._seam = found.end(), [""], ""
        self._parts.append(text[begin:])
        self._seam = _seam(text[begin - len(self._seam) :], self._separator) if self._break else ""

    @property
    def text(self) -> str:
        """The step so far, as if no more came."""
        text = "".join(self._parts)
        start, end = _trimmed(text, 0, len(text))
        return text[start:end]


@cache
def _break(separator: str) -> re.Pattern[str]:
    """What ends a step."""
    if not separator:
        raise ConfigError(
            "is empty.", where="separator", remedy="Give the text that ends a step, such as a blank line."
        )
    if separator.strip("\n"):
        return re.compile(re.escape(separator))
    return re.compile(rf"\n(?:[^\S\n]*\n){{{len(separator) - 1}}}")


def _seam(text: str, separator: str) -> str:
    """The shortest end of a text that may begin a separator which continues in the next piece."""
    if separator.strip("\n"):
        return text[len(text) - len(separator) + 1 :] if len(text) >= len(separator) else text
    return "\n" * text.count("\n", len(text.rstrip()))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without blank lines at its beginning and white space at its end."""
    part = text[start:end].rstrip()
    indented = part.rfind("\n", 0, len(part) - len(part.lstrip())) + 1
    return start + indented, start + len(part)
