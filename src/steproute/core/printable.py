"""Text that comes from models, servers and files, made safe for a terminal."""

import re
import unicodedata
from functools import cache
from typing import Final

_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line breaks, and the joiners that some scripts and emoji need."""
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SEQUENCE: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # strings, such as OSC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*[0-~]"
)


def printable(text: str) -> str:
    """The text without what a terminal obeys or hides: control sequences and characters, and marks of direction."""
    if text.isprintable():
        return text
    text = _SEQUENCE.sub("", text)
    return "".join(character for character in text if not _is_unseen(character))


def escaped(json: str) -> str:
    """A JSON document in which such characters are escaped; it holds the same data."""
    if json.isprintable():
        return json
    return "".join(_escape(character) if _is_unseen(character) else character for character in json)


@cache
def _is_unseen(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in _UNSEEN


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
