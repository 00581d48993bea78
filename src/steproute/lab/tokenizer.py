"""Text to token ids and back: one token a word, one a digit, one a sentence label."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from steproute.core.errors import DatasetError
from steproute.lab.wording import words

SEPARATOR: Final = "\n\n"
PAD: Final = "<pad>"
END: Final = "<end>"
MAX_LABEL: Final = 20

PATTERN: Final = r"\n\n|\(\d+\)|\\boxed\{|[A-Za-z]+|\d|[^\s]"
"""What a token is, as a regular expression."""

_TOKEN: Final = re.compile(PATTERN)
_NO_SPACE_BEFORE: Final = frozenset(".,?}")
_NO_SPACE_AFTER: Final = frozenset({SEPARATOR, "\\boxed{"})


def vocabulary() -> tuple[str, ...]:
    """Every token, by id; id 0 pads and id 1 ends a solution."""
    labels = [f"({number})" for number in range(1, MAX_LABEL + 1)]
    return (PAD, END, SEPARATOR, *"0123456789", "\\boxed{", "}", *"+-*/=", *labels, *words())


class Tokenizer:
    """Tokens of the lab language.

    `decode` writes canonical spacing, so `encode(decode(ids)) == ids` for all ids but padding and end, and
    `decode(encode(text)) == text` for every text that the lab writes.
    """

    def __init__(self, tokens: Sequence[str] | None = None) -> None:
        self.tokens: tuple[str, ...] = tuple(tokens) if tokens is not None else vocabulary()
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        self.pad, self.end, self.separator = self._ids[PAD], self._ids[END], self._ids[SEPARATOR]

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; raises DatasetError on a word outside the lab's vocabulary."""
        ids = []
        for match in _TOKEN.finditer(text):
            token = match.group()
            if token not in self._ids:
                raise DatasetError(
                    f"lab text: {token!r} is not in the lab's vocabulary. "
                    "`steproute lab sample` shows problems that the lab models can read."
                )
            ids.append(self._ids[token])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Canonical text of token ids; padding and end are left out."""
        pieces: list[str] = []
        previous = ""
        for index in ids:
            token = self.tokens[index]
            if token in (PAD, END):
                continue
            if previous and not _joined(previous, token):
                pieces.append(" ")
            pieces.append(token)
            previous = token
        return "".join(pieces)


def _joined(previous: str, token: str) -> bool:
    return (
        token in _NO_SPACE_BEFORE
        or token == SEPARATOR
        or previous in _NO_SPACE_AFTER
        or (previous.isdigit() and token.isdigit())
    )
