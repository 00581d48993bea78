"""Final answers: the contents of a closed `\\boxed{…}`."""

import re
from typing import Final

_MARK: Final = re.compile(r"(?P<box>\\f?box(?:ed)?\s*\{)|\\.|(?P<brace>[{}])", re.DOTALL)


def closed_boxed(text: str) -> str | None:
    """Contents of the `\\boxed{…}` (or `\\fbox{…}`) that closes last, its braces balanced; None where none is closed.

    Escaped braces do not count. Takes time linear in the text.
    """
    contents: str | None = None
    opened: list[int | None] = []
    for mark in _MARK.finditer(text):
        if mark["box"]:
            opened.append(mark.end())
        elif mark["brace"] == "{":
            opened.append(None)
        elif mark["brace"] == "}" and opened:
            start = opened.pop()
            if start is not None:
                contents = text[start : mark.start()]
    return contents
