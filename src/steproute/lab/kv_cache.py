"""Keys, values and outputs of one lab model's sessions, in blocks of one size that are allocated once."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from steproute.core.arrays import F32

CACHE_BYTES: Final = 64 * 2**20
"""The most that one lab model keeps of its sessions. For the largest model that is 12 400 tokens."""
_BLOCK: Final = 16  # tokens


@dataclass(slots=True, eq=False)
class Session:
    """tokens: those that it has been through; none once it is evicted. read: after how many of them, from the first,
    the outputs are kept."""

    name: str
    tokens: list[int] = field(default_factory=list)
    read: int = 0
    blocks: list[int] = field(default_factory=list)


class KvCache:
    """The sessions of one model. If there is no free block, the session that was used the longest ago is evicted.

    shape: layers, heads, width of a head. outputs: of the network, per token. context: tokens of one session at most.
    most_bytes: what all arrays take together; one session of a full context has to fit. Not thread-safe.
    """

    def __init__(self, shape: tuple[int, int, int], outputs: int, context: int, most_bytes: int = CACHE_BYTES) -> None:
        layers, heads, width = shape
        per_token = np.dtype(np.float32).itemsize * (2 * layers * heads * width + outputs)
        count = most_bytes // (per_token * _BLOCK)
        assert count * _BLOCK >= context, f"{most_bytes} bytes do not hold {context} tokens of {per_token} bytes"
        self._keys = np.zeros((count, layers, heads, _BLOCK, width), np.float32)
        self._values = np.zeros(self._keys.shape, np.float32)
        self._outputs = np.zeros((count, _BLOCK, outputs), np.float32)
        self._free = list(reversed(range(count)))
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, used or not."""
        return self._keys.nbytes + self._values.nbytes + self._outputs.nbytes

    def open(self, name: str) -> Session:
        """The session of this name, new if there is none."""
        session = self._sessions.setdefault(name, Session(name))
        self._sessions.move_to_end(name)
        return session

    def cut(self, session: Session, length: int) -> None:
        """Forget all tokens from the one at index `length`."""
        del session.tokens[length:]
        session.read = min(session.read, length)
        kept = -(-length // _BLOCK)
        self._free.extend(reversed(session.blocks[kept:]))
        del session.blocks[kept:]

    def load(self, session: Session, keys: F32, values: F32) -> None:
        """Copy the session into arrays (layer, head, position, head width)."""
        for block, inside, outside in _pieces(session.blocks, 0, len(session.tokens)):
            keys[:, :, outside] = self._keys[block, :, :, inside]
            values[:, :, outside] = self._values[block, :, :, inside]

    def extend(self, session: Session, tokens: Sequence[int], keys: F32, values: F32) -> None:
        """Append tokens, whose keys and values follow the session's in arrays (layer, head, position, head width)."""
        start, end = len(session.tokens), len(session.tokens) + len(tokens)
        self._sessions.move_to_end(session.name)
        while len(session.blocks) * _BLOCK < end:
            session.blocks.append(self._free_block())
        for block, inside, outside in _pieces(session.blocks, start, end):
            self._keys[block, :, :, inside] = keys[:, :, outside]
            self._values[block, :, :, inside] = values[:, :, outside]
        session.tokens.extend(tokens)

    def keep_outputs(self, session: Session, outputs: F32) -> None:
        """Keep the outputs, (token, output), after the session's newest tokens."""
        end = len(session.tokens)
        start = end - len(outputs)
        for block, inside, outside in _pieces(session.blocks, start, end):
            self._outputs[block, inside] = outputs[outside.start - start : outside.stop - start]
        session.read = end

    def outputs(self, session: Session) -> F32:
        """A copy of the outputs that are kept, (token, output)."""
        found: F32 = self._outputs[session.blocks].reshape(-1, self._outputs.shape[-1])[: session.read]
        return found

    def _free_block(self) -> int:
        while not self._free:
            _, oldest = self._sessions.popitem(last=False)
            self.cut(oldest, 0)
        return self._free.pop()


def _pieces(blocks: Sequence[int], start: int, end: int) -> Iterator[tuple[int, slice, slice]]:
    """The blocks with positions from `start` to `end`: where these are in the block, and where in the session."""
    for index in range(start // _BLOCK, -(-end // _BLOCK)):
        first = index * _BLOCK
        low, high = max(start, first), min(end, first + _BLOCK)
        yield blocks[index], slice(low - first, high - first), slice(low, high)
