"""A lab transformer under onnxruntime: cached passes for one session, and one-token passes for a batch of them."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F32
from steproute.core.errors import ArtifactError
from steproute.lab.tokenizer import Tokenizer

_KEPT_SESSIONS: Final = 256
_MASKED: Final = np.float32(-1e9)


@dataclass(slots=True)
class Cache:
    """Keys and values of the tokens that one session has been through, (layer, head, position, head width), and the
    network's output after each of them."""

    keys: F32
    values: F32
    tokens: list[int] = field(default_factory=list)
    outputs: list[F32] = field(default_factory=list)


class Network:
    """Graph, weights and caches of one lab model. Not thread-safe: one worker thread owns it."""

    def __init__(self, path: Path, batch: int = 32) -> None:
        import onnxruntime  # other models do without it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not path.exists():
            raise ArtifactError(f"lab weights: {path.name} is missing. Reinstall steproute, or train them again.")
        self._run = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = self._run.get_modelmeta().custom_metadata_map
        self.tokenizer = Tokenizer(json.loads(facts["tokens"]))
        self.context = int(facts["context"])
        self.shape: dict[str, int] = json.loads(facts["shape"])
        self.reads_example = facts.get("advice") == "true"
        self._inputs = [item.name for item in self._run.get_inputs()]
        layers, heads, width = self.shape["layers"], self.shape["heads"], self.shape["width"]
        self._cache_shape = (layers, heads, self.context, width // heads)
        self._caches: OrderedDict[str, Cache] = OrderedDict()
        self.batch = batch
        self._keys = np.zeros((layers, batch, *self._cache_shape[1:]), np.float32)
        self._values = np.zeros_like(self._keys)

    def read(self, session: str, tokens: list[int], *, again: int = 0) -> tuple[Cache, int]:
        """Bring a session's cache to exactly `tokens`; returns it and how many of them it held already.

        The last `again` tokens are read again even if they were cached.
        """
        cache = self._caches.pop(session, None) or Cache(np.zeros(self._cache_shape, np.float32), self._empty())
        self._caches[session] = cache
        if len(self._caches) > _KEPT_SESSIONS:
            self._caches.popitem(last=False)
        kept = min(shared_length(cache.tokens, tokens), len(tokens) - again)
        del cache.tokens[kept:], cache.outputs[kept:]
        if kept < len(tokens):
            self._extend(cache, tokens[kept:])
        return cache, kept

    def load_row(self, row: int, cache: Cache) -> None:
        """Copy a session's cache into a row of the batch."""
        length = len(cache.tokens)
        self._keys[:, row, :, :length] = cache.keys[:, :, :length]
        self._values[:, row, :, :length] = cache.values[:, :, :length]

    def store_row(self, row: int, cache: Cache, tokens: list[int]) -> None:
        """Copy what a row has generated and read back into its session's cache."""
        start, end = len(cache.tokens), len(cache.tokens) + len(tokens)
        cache.keys[:, :, start:end] = self._keys[:, row, :, start:end]
        cache.values[:, :, start:end] = self._values[:, row, :, start:end]
        cache.tokens.extend(tokens)
        cache.outputs.extend(self._none for _ in tokens)

    def move_row(self, source: int, target: int) -> None:
        """Copy one row of the batch over another."""
        self._keys[:, target] = self._keys[:, source]
        self._values[:, target] = self._values[:, source]

    def step(self, tokens: list[int], lengths: list[int]) -> F32:
        """Feed one token to each of the first rows, whose pasts are `lengths` long; returns outputs (row, output)."""
        rows = len(tokens)
        past = np.asarray(lengths)
        mask = np.where(np.arange(self.context) < past[:, None], np.float32(0), _MASKED)
        outputs = self._call(
            np.asarray(tokens)[:, None], past[:, None], mask, self._keys[:, :rows], self._values[:, :rows]
        )
        layers = self.shape["layers"]
        for layer in range(layers):
            self._keys[layer, np.arange(rows), :, past] = outputs[1 + layer][:, :, 0]
            self._values[layer, np.arange(rows), :, past] = outputs[1 + layers + layer][:, :, 0]
        first: F32 = outputs[0][:, 0]
        return first

    def _extend(self, cache: Cache, tokens: list[int]) -> None:
        start, end = len(cache.tokens), len(cache.tokens) + len(tokens)
        mask = np.where(np.arange(self.context) < start, np.float32(0), _MASKED)[None]
        outputs = self._call(
            np.asarray(tokens)[None], np.arange(start, end)[None], mask, cache.keys[:, None], cache.values[:, None]
        )
        layers = self.shape["layers"]
        for layer in range(layers):
            cache.keys[layer, :, start:end] = outputs[1 + layer][0]
            cache.values[layer, :, start:end] = outputs[1 + layers + layer][0]
        cache.tokens.extend(tokens)
        cache.outputs.extend(outputs[0][0])

    def _call(
        self, tokens: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], mask: F32, keys: F32, values: F32
    ) -> list[Any]:
        feeds = [tokens, positions, mask[:, None, None, :], *keys, *values]
        return list(self._run.run(None, dict(zip(self._inputs, feeds, strict=True))))

    def _empty(self) -> F32:
        return np.zeros(self._cache_shape, np.float32)

    @property
    def _none(self) -> F32:
        return np.empty(0, np.float32)


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items two sequences share from their beginning."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
