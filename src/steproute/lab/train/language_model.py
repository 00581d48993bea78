"""Train a lab language model from scratch: next-token loss on the solutions of freshly written stories."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.onnx_weights import read_weights
from steproute.lab.story import Story, generate
from steproute.lab.tokenizer import Tokenizer
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.rows import IGNORED, Row, batch_of, row_of
from steproute.lab.train.transformer import Shape, Transformer

_POOL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a language model's weights."""

    width: int
    layers: int
    heads: int
    schedule: Schedule
    seed: int = 0


def train_language_model(recipe: Recipe, folder: Path) -> Transformer:
    """Train, or continue from the newest checkpoint in `folder`; returns the finished model."""
    torch.manual_seed(recipe.seed)
    tokenizer = Tokenizer()
    model = build(recipe)

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return solution_batches(tokenizer, recipe.schedule.batch, seed=recipe.seed + 1000 * (start + 1))

    fit(model, batches, next_token_loss, recipe.schedule, folder)
    return model


def build(recipe: Recipe) -> Transformer:
    """The untrained model of a recipe."""
    size = len(Tokenizer())
    return Transformer(
        Shape(vocabulary=size, outputs=size, width=recipe.width, layers=recipe.layers, heads=recipe.heads)
    )


def trained(path: Path) -> Transformer:
    """The language model of an .onnx file, to be trained further."""
    weights, facts = read_weights(path)
    sizes = {key: facts.shape[key] for key in ("width", "layers", "heads", "outputs")}
    model = Transformer(Shape(vocabulary=len(facts.tokens), **sizes))
    model.load_state_dict({name: torch.tensor(np.ascontiguousarray(array)) for name, array in weights.items()})
    return model


def solution_batches(tokenizer: Tokenizer, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, targets), each (batch, time): targets hold the next token inside solutions and are ignored elsewhere.

    One story in eight is hard, the others are standard.
    """
    standard, hard = generate("train", seed=seed), generate("train", seed=seed, difficulty="hard")
    while True:
        problems = chain(islice(standard, size * _POOL * 7 // 8), islice(hard, size * _POOL // 8))
        rows = sorted((_row(tokenizer, problem.text) for problem in problems), key=_length)
        starts = torch.randperm(_POOL).tolist()
        for start in starts:
            yield batch_of(rows[start * size : (start + 1) * size], tokenizer.pad)


def next_token_loss(model: Transformer, tokens: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the positions whose target is not ignored."""
    outputs = model(tokens, select=targets != IGNORED)
    return F.cross_entropy(outputs.float(), targets[targets != IGNORED])


def _row(tokenizer: Tokenizer, text: str) -> Row:
    return row_of(tokenizer, [text], Story.parse(text).solution(), last=True)


def _length(row: Row) -> int:
    return len(row[0])
