"""Rows of tokens with what is learnt after each of them, and their batches."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from steproute.lab.tokenizer import SEPARATOR, Tokenizer

IGNORED: Final = -100
"""The target of a token after which nothing is learnt."""

Row = tuple[list[int], list[int]]
"""Tokens, and the target after each."""


def row_of(tokenizer: Tokenizer, read: Sequence[str], learnt: Sequence[str], *, last: bool) -> Row:
    """Texts that are only read, and the steps after them whose tokens are learnt.

    last: the solution ends with these steps; otherwise they are closed by a separator.
    """
    prompt = [*tokenizer.encode(SEPARATOR.join(read)), tokenizer.separator]
    closing = tokenizer.end if last else tokenizer.separator
    tokens = [*prompt, *tokenizer.encode(SEPARATOR.join(learnt)), closing]
    return tokens[:-1], [IGNORED] * (len(prompt) - 1) + tokens[len(prompt) :]


def batch_of(rows: Sequence[Row], pad: int) -> tuple[Tensor, Tensor]:
    """(tokens, targets), each (row, time), padded on the right."""
    return _padded([tokens for tokens, _ in rows], pad), _padded([targets for _, targets in rows], IGNORED)


def _padded(rows: Sequence[list[int]], value: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
