"""A lab transformer under onnxruntime: cached passes for one session, and one-token passes for a batch of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from steproute.core.arrays import F32
from steproute.core.errors import ArtifactError
from steproute.lab.kv_cache import CACHE_BYTES, KvCache, Session
from steproute.lab.tokenizer import Tokenizer

_MASKED: Final = np.float32(-1e9)


class Network:
    """Graph, weights and caches of one lab model. Not thread-safe: one worker thread owns it."""

    def __init__(self, path: Path, batch: int = 32, cache_bytes: int = CACHE_BYTES) -> None:
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
        self.reads = facts.get("reads", "")
        self._inputs = [item.name for item in self._run.get_inputs()]
        layers, heads, width = self.shape["layers"], self.shape["heads"], self.shape["width"]
        head = width // heads
        self.cache = KvCache((layers, heads, head), self.shape["outputs"], self.context, cache_bytes)
        self.batch = batch
        self._keys = np.zeros((layers, batch, heads, self.context, head), np.float32)
        self._values = np.zeros(self._keys.shape, np.float32)  # zeros_like would touch all of it

    def start(self, name: str, tokens: list[int], row: int) -> tuple[Session, int, F32]:
        """Bring a row of the batch and a session to exactly `tokens`.

        Returns the session, how many of the tokens it held already, and the network's output after the last one, which
        is always read.
        """
        session = self.cache.open(name)
        kept = min(shared_length(session.tokens, tokens), len(tokens) - 1)
        self.cache.cut(session, kept)
        outputs = self._extend(session, tokens[kept:], row)
        return session, kept, outputs[-1].copy()

    def read(self, name: str, tokens: list[int], row: int) -> tuple[F32, int]:
        """The network's outputs after each of the tokens, (token, output), and how many of them the session held
        already. The row of the batch is overwritten."""
        session = self.cache.open(name)
        kept = min(shared_length(session.tokens, tokens), session.read)
        self.cache.cut(session, kept)
        if kept < len(tokens):
            self.cache.keep_outputs(session, self._extend(session, tokens[kept:], row))
        return self.cache.outputs(session), kept

    def store_row(self, row: int, session: Session, tokens: list[int]) -> None:
        """Copy what a row has generated and read back into its session."""
        self.cache.extend(session, tokens, self._keys[:, row], self._values[:, row])

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

    def _extend(self, session: Session, tokens: list[int], row: int) -> F32:
        """Load a session into a row and read further tokens into both; the outputs after each, (token, output)."""
        keys, values = self._keys[:, row], self._values[:, row]
        start, end = len(session.tokens), len(session.tokens) + len(tokens)
        self.cache.load(session, keys, values)
        mask = np.where(np.arange(self.context) < start, np.float32(0), _MASKED)[None]
        outputs = self._call(
            np.asarray(tokens)[None], np.arange(start, end)[None], mask, keys[:, None], values[:, None]
        )
        layers = self.shape["layers"]
        for layer in range(layers):
            keys[layer, :, start:end] = outputs[1 + layer][0]
            values[layer, :, start:end] = outputs[1 + layers + layer][0]
        self.cache.extend(session, tokens, keys, values)
        found: F32 = outputs[0][0]
        return found

    def _call(
        self, tokens: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], mask: F32, keys: F32, values: F32
    ) -> list[Any]:
        feeds = [tokens, positions, mask[:, None, None, :], *keys, *values]
        return list(self._run.run(None, dict(zip(self._inputs, feeds, strict=True))))


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items two sequences share from their beginning."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
