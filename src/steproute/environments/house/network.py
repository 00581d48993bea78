"""A small transformer over the texts of a game, run by NumPy; the agents' and the PRM's."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import safe_open

from steproute.core.arrays import F32
from steproute.core.errors import ArtifactError
from steproute.core.file_digest import file_digest
from steproute.environments.house.reading import words_of

_MASKED: Final = np.float32(-1e9)
_EPSILON: Final = 1e-5


class HouseNetwork:
    """Weights from a .safetensors file, whose metadata hold the words by their index and the number of heads.

    Raises ArtifactError if the file is missing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise ArtifactError(f"house weights: {path.name} is missing. Reinstall steproute, or train them again.")
        with safe_open(path, framework="numpy") as file:
            weights = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118 - no mapping
            facts = file.metadata()
        self._embed, self._norm, self._head = (weights[f"{name}.weight"] for name in ("embed", "norm", "head"))
        self._blocks = [_parts(weights, f"blocks.{layer}.") for layer in range(int(facts["layers"]))]
        self._words = {word: index for index, word in enumerate(json.loads(facts["words"]))}
        self._heads = int(facts["heads"])

    def outputs(self, texts: Sequence[str]) -> F32:
        """The outputs after each text of `reading.texts_of`, (text, output). Unknown words are not read."""
        known = [[self._words[word] for word in words if word in self._words] for words in words_of(texts)]
        x = np.stack([self._embed[sorted(words)].sum(axis=0) for words in known])
        for block in self._blocks:
            x = self._through(x, block)
        answer: F32 = _norm(x, self._norm) @ self._head.T
        return answer

    def _through(self, x: F32, of: Mapping[str, F32]) -> F32:
        """Attention to earlier texts and a squared ReLU, each behind a norm and a residual."""
        time, width = x.shape
        parts = _norm(x, of["attention_norm"]) @ of["query_key_value"].T
        query, key, value = parts.reshape(time, 3, self._heads, -1).transpose(1, 2, 0, 3)
        logits = _rotated(query) @ _rotated(key).transpose(0, 2, 1) / np.float32(np.sqrt(width // self._heads))
        logits += np.triu(np.full((time, time), _MASKED), 1)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ value
        x = x + mixed.transpose(1, 0, 2).reshape(time, width) @ of["attention_out"].T
        inner = np.maximum(_norm(x, of["mlp_norm"]) @ of["up"].T, 0) ** 2
        answer: F32 = x + inner @ of["down"].T
        return answer


@cache
def shipped(name: str) -> HouseNetwork:
    """A network of the package."""
    return HouseNetwork(_folder() / f"{name}.safetensors")


@cache
def house_digest() -> str:
    """A digest of all shipped weights; see `file_digest`."""
    return file_digest(_folder().glob("*.safetensors"))


def _folder() -> Path:
    return Path(str(files("steproute.environments.house") / "weights"))


def _parts(weights: Mapping[str, F32], at: str) -> dict[str, F32]:
    """The weights of one block, by their names in it."""
    own = {name.removeprefix(at): array for name, array in weights.items() if name.startswith(at)}
    return {name.removesuffix(".weight"): array for name, array in own.items()}


def _norm(x: F32, weight: F32) -> F32:
    answer: F32 = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + _EPSILON) * weight
    return answer


def _rotated(x: F32) -> F32:
    """Rotary positions of (head, time, width), as in the lab's transformer."""
    _, time, width = x.shape
    frequencies = 1000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(time)[:, None] * frequencies
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
