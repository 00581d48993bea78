"""Train lab-verifier, the lab's process reward model: it judges a step given its prefix, not the place where it stands.

Loss: binary cross-entropy over the steps of walks, up to the first incorrect one (as PRM800K labels them), plus a
logistic loss over pairs of a correct and an incorrect candidate for the same step. The second term makes it compare
texts: without it a network does almost as well by learning where lab-weak tends to fail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.onnx_weights import read_weights
from steproute.lab.tokenizer import Tokenizer
from steproute.lab.train.alterations import altered
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import pad_rows
from steproute.lab.train.transformer import Shape, Transformer
from steproute.lab.train.walks import Walk, read_walks

_IGNORED: Final = -100
_PAIRED: Final = 2
_POOL: Final = 8
_PAIR_WEIGHT: Final = 0.5

Row = tuple[list[int], list[int]]
"""Token ids, and a label for each: 0 or 1 after an incorrect or correct step, 2 or 3 in a pair, ignored elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierRecipe:
    """Everything that decides the verifier's weights; `start` names the language model that it starts from.

    `new_layers` are put on top of its layers: what a language model expects of a token is known after its last layer;
    only a later layer can compare that with the token itself. A batch holds `schedule.batch` walks and as many pairs.
    """

    start: Literal["weak", "mid", "strong"]
    new_layers: int
    walks: int
    schedule: Schedule
    seed: int = 0


def train_verifier(recipe: VerifierRecipe, start: Path, walks: Path, folder: Path) -> Transformer:
    """Train, or continue from the newest checkpoint in `folder`; `start` is the .onnx file of the first weights."""
    torch.manual_seed(recipe.seed)
    model = _deeper(start, recipe.new_layers)
    data = list(read_walks(walks))[: recipe.walks]

    def batches(begin: int) -> Iterator[tuple[Tensor, Tensor]]:
        return verifier_batches(data, recipe.schedule.batch, np.random.default_rng([recipe.seed, begin]))

    fit(model, batches, verifier_loss, recipe.schedule, folder)
    return model


def verifier_batches(walks: Sequence[Walk], size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, labels), each (batch, time): `size` walks, then as many pairs, correct before incorrect."""
    tokenizer = Tokenizer()
    singles = _pooled(_walk_rows(walks, tokenizer, rng), size, rng)
    pairs = _pooled(_pair_rows(walks, tokenizer, rng), size, rng)
    for walk_rows, pair_rows in zip(singles, pairs, strict=False):
        rows = [row for group in (*walk_rows, *pair_rows) for row in group]
        yield (
            pad_rows([tokens for tokens, _ in rows], tokenizer.pad),
            pad_rows([labels for _, labels in rows], _IGNORED),
        )


def verifier_loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the labelled steps plus half the logistic loss of the pairs' margins."""
    select = labels != _IGNORED
    logits, kinds = model(tokens, select=select)[:, 0].float(), labels[select]
    single = kinds < _PAIRED
    margin = logits[kinds == _PAIRED + 1] - logits[kinds == _PAIRED]
    entropy = F.binary_cross_entropy_with_logits(logits[single], kinds[single].float())
    return entropy + _PAIR_WEIGHT * F.softplus(-margin).mean()


def _deeper(start: Path, new_layers: int) -> Transformer:
    weights, facts = read_weights(start)
    model = Transformer(
        Shape(
            vocabulary=len(facts.tokens),
            outputs=1,
            width=facts.shape["width"],
            layers=facts.shape["layers"] + new_layers,
            heads=facts.shape["heads"],
        )
    )
    tensors = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in weights.items()}
    model.load_state_dict({**model.state_dict(), **tensors, "head.weight": model.head.weight})
    return model


def _pooled(groups: Iterator[tuple[Row, ...]], size: int, rng: np.random.Generator) -> Iterator[list[tuple[Row, ...]]]:
    """Batches of `size` groups of similar length."""
    while True:
        pool = sorted((next(groups) for _ in range(size * _POOL)), key=lambda group: len(group[0][0]))
        for part in rng.permutation(_POOL):
            yield pool[part * size : (part + 1) * size]


def _walk_rows(walks: Sequence[Walk], tokenizer: Tokenizer, rng: np.random.Generator) -> Iterator[tuple[Row, ...]]:
    while True:
        for index in rng.permutation(len(walks)):
            walk = walks[index]
            labels = [1] * (len(walk.steps) - 1) + [int(walk.last_correct)]
            yield (_row(tokenizer, walk.problem, walk.steps, labels),)


def _pair_rows(walks: Sequence[Walk], tokenizer: Tokenizer, rng: np.random.Generator) -> Iterator[tuple[Row, ...]]:
    """Pairs of drafts of the models and pairs with an altered step, in turns."""
    forked = [walk for walk in walks if walk.choices]
    sound = [walk for walk in walks if len(walk.steps) > 1 or walk.last_correct]
    while True:
        for source, draw in ((forked, _drafted), (sound, _altered)):
            if source:
                walk = source[rng.integers(len(source))]
                after, correct, incorrect = draw(walk, rng)
                yield tuple(
                    _row(tokenizer, walk.problem, (*walk.steps[:after], text), [_IGNORED] * after + [label])
                    for text, label in ((correct, _PAIRED + 1), (incorrect, _PAIRED))
                )


def _drafted(walk: Walk, rng: np.random.Generator) -> tuple[int, str, str]:
    choice = walk.choices[rng.integers(len(walk.choices))]
    correct, incorrect = ([item.text for item in choice.candidates if item.correct is kind] for kind in (True, False))
    return choice.after, correct[rng.integers(len(correct))], incorrect[rng.integers(len(incorrect))]


def _altered(walk: Walk, rng: np.random.Generator) -> tuple[int, str, str]:
    after = int(rng.integers(len(walk.steps) - (not walk.last_correct)))
    return after, walk.steps[after], altered(walk.steps[after], rng)


def _row(tokenizer: Tokenizer, problem: str, steps: Sequence[str], step_labels: Sequence[int]) -> Row:
    tokens = [*tokenizer.encode(problem), tokenizer.separator]
    labels = [_IGNORED] * len(tokens)
    for step, label in zip(steps, step_labels, strict=True):
        part = [*tokenizer.encode(step), tokenizer.separator]
        tokens += part
        labels += [_IGNORED] * (len(part) - 1) + [label]
    return tokens, labels
