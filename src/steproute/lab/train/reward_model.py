"""Train the lab's process reward model: the strong model's early weights, tuned to label steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.tokenizer import Tokenizer
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import Recipe, build
from steproute.lab.train.rollouts import read_rollouts
from steproute.lab.train.rows import IGNORED, Row, batch_of
from steproute.lab.train.transformer import Shape, Transformer

_POOL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRecipe:
    """Everything that decides the PRM's weights: whose it starts from, after which step, and the rollouts."""

    start: Recipe
    start_step: int
    rollouts: int
    schedule: Schedule
    seed: int = 0


def train_reward_model(recipe: RewardRecipe, start: Path, rollouts: Path, folder: Path) -> Transformer:
    """Train, or continue from the newest checkpoint in `folder`; `start` holds the weights to begin with."""
    torch.manual_seed(recipe.seed)
    tokenizer = Tokenizer()
    trunk = build(recipe.start)
    trunk.load_state_dict(load_file(start))
    shape = Shape(
        vocabulary=len(tokenizer),
        outputs=1,
        width=recipe.start.width,
        layers=recipe.start.layers,
        heads=recipe.start.heads,
    )
    model = Transformer(shape)
    model.load_state_dict({**trunk.state_dict(), "head.weight": model.head.weight})
    rows = [_row(tokenizer, *rollout) for rollout in read_rollouts(rollouts)]

    def batches(begin: int) -> Iterator[tuple[Tensor, Tensor]]:
        return labelled_batches(tokenizer, rows, recipe.schedule.batch, seed=recipe.seed + begin)

    fit(model, batches, step_loss, recipe.schedule, folder)
    return model


def labelled_batches(tokenizer: Tokenizer, rows: list[Row], size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, labels), each (batch, time): a label of 0 or 1 at the separator after each step, ignored elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(rows), generator=generator).tolist()
        for start in range(0, len(order) - size * _POOL + 1, size * _POOL):
            pool = sorted((rows[i] for i in order[start : start + size * _POOL]), key=lambda row: len(row[0]))
            for part in torch.randperm(_POOL, generator=generator).tolist():
                yield batch_of(pool[part * size : (part + 1) * size], tokenizer.pad)


def step_loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labelled positions."""
    chosen = labels != IGNORED
    outputs: Tensor = model(tokens, select=chosen)
    return F.binary_cross_entropy_with_logits(outputs[:, 0].float(), labels[chosen].float())


def _row(tokenizer: Tokenizer, text: str, steps: list[str], right: list[bool]) -> Row:
    tokens = [*tokenizer.encode(text), tokenizer.separator]
    labels = [IGNORED] * len(tokens)
    for step, label in zip(steps, right, strict=True):
        part = [*tokenizer.encode(step), tokenizer.separator]
        tokens += part
        labels += [IGNORED] * (len(part) - 1) + [int(label)]
    return tokens, labels
