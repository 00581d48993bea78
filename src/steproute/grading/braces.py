"""LaTeX's arguments in braces: `\\frac12`, `x^2` and `\\sqrt 3` written as `\\frac{1}{2}`, `x^{2}` and `\\sqrt{3}`."""

import re
from typing import Final

_ARGUMENTS: Final = {r"\frac": 2, r"\binom": 2, r"\sqrt": 1, r"\overline": 1, r"\bar": 1, r"\dot": 1, r"\overbar": 1}
_KEPT: Final = frozenset(
    {r"\text", r"\mathcal", r"\begin", r"\end", r"\operatorname", r"\widehat", r"\hat", r"\vec", r"\ddot"}
)
_COMMAND: Final = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_SCRIPT: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_OPTION: Final = re.compile(r"\s*\[([^\[\]]*)\]")
_SPACE: Final = re.compile(r"\s*")


def with_braces(text: str) -> str:
    """`text` with every argument in braces, and no other braces. Recursive: for text nested dozens deep at most."""
    reader = _Reader(text)
    return reader.sequence() + reader.rest


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def sequence(self) -> str:
        """Everything up to the closing brace, or the end."""
        parts: list[str] = []
        while self._at < len(self._text) and self._text[self._at] != "}":
            parts.append(self._item())
        return "".join(parts)

    @property
    def rest(self) -> str:
        """What follows: a stray closing brace, or nothing."""
        return self._text[self._at :]

    def _item(self) -> str:
        sign = self._text[self._at]
        if sign == "{":
            return self._group()[1:-1]
        if sign in "^_":
            self._at += 1
            return sign + self._script()
        if sign == "\\" and (command := _COMMAND.match(self._text, self._at)) is not None:
            self._at = command.end()
            return self._command(command[0])
        self._at += 1
        return sign

    def _command(self, name: str) -> str:
        count = _ARGUMENTS.get(name)
        if name in _KEPT:
            self._skip()
            return name + (self._group() if self._text[self._at : self._at + 1] == "{" else " ")
        if count is None:
            return f"{name} " if name[-1].isalpha() else name
        option = _OPTION.match(self._text, self._at) if name == r"\sqrt" else None
        if option is not None:
            self._at = option.end()
        degree = f"[{option[1].strip()}]" if option is not None and option[1].strip() not in ("", "2") else ""
        return name + degree + "".join(self._argument() for _ in range(count))

    def _script(self) -> str:
        self._skip()
        if (number := _SCRIPT.match(self._text, self._at)) is not None:
            self._at = number.end()
            return f"{{{number[0]}}}"
        return self._argument()

    def _argument(self) -> str:
        self._skip()
        if self._at >= len(self._text) or self._text[self._at] == "}":
            return "{}"
        sign = self._text[self._at]
        if sign in "{(":
            return self._group() if sign == "{" else self._parenthesised()
        return f"{{{self._item()}}}"

    def _group(self) -> str:
        self._at += 1
        inner = self.sequence()
        self._at += 1
        return f"{{{inner}}}"

    def _parenthesised(self) -> str:
        """A whole (…), without its parentheses; one that is never closed is a sign like any other."""
        depth = 0
        for end in range(self._at, len(self._text)):
            depth += {"(": 1, ")": -1}.get(self._text[end], 0)
            if not depth:
                inner = with_braces(self._text[self._at + 1 : end])
                self._at = end + 1
                return f"{{{inner}}}"
        self._at += 1
        return "{(}"

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
