"""Train lab-verifier, the lab's process reward model: it judges a step given its prefix, not the place where it stands.

Loss: binary cross-entropy over the steps of walks, up to the first incorrect one (as PRM800K labels them), plus a
logistic loss over pairs of a correct and an incorrect candidate for the same step, plus cross-entropy over all tokens
of these steps: is the step correct so far? Without the last term the network settles for learning where lab-weak tends
to fail, pairs or not; with it, it learns which token is at fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.story import Story
from steproute.lab.tokenizer import Tokenizer
from steproute.lab.train.alterations import altered
from steproute.lab.train.first_error import first_error
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import trained
from steproute.lab.train.rows import IGNORED, Row, batch_of
from steproute.lab.train.verifier_network import VerifierNetwork
from steproute.lab.train.walks import Walk, read_walks

_PAIRED: Final = 2
_INSIDE: Final = 4
"""A row's targets are 0 or 1 after an incorrect or correct step, 2 or 3 after one of a pair, 4 or 5 inside a step that
is incorrect or correct so far, and IGNORED elsewhere."""
_POOL: Final = 8
_PAIR_WEIGHT: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierRecipe:
    """Everything that decides the verifier's weights; `start` names the language model that it starts from.

    A batch holds twice `schedule.batch` altered walks, `schedule.batch` walks and half as many pairs.
    """

    start: Literal["weak", "mid", "strong"]
    new_layers: int
    walks: int
    schedule: Schedule
    seed: int = 0


def train_verifier(recipe: VerifierRecipe, start: Path, walks: Path, folder: Path) -> VerifierNetwork:
    """Train, or continue from the newest checkpoint in `folder`; `start` is the .onnx file of the first weights."""
    torch.manual_seed(recipe.seed)
    model = _build(recipe, start)
    data = list(read_walks(walks))[: recipe.walks]

    def batches(begin: int) -> Iterator[tuple[Tensor, Tensor]]:
        return verifier_batches(data, recipe.schedule.batch, np.random.default_rng([recipe.seed, begin]))

    fit(model, batches, verifier_loss, recipe.schedule, folder)
    return model


def verifier_batches(walks: Sequence[Walk], size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, labels), each (batch, time): 2 `size` altered walks, `size` walks, `size` // 2 pairs, correct first."""
    tokenizer = Tokenizer()
    sources = (
        _pooled(_altered_rows(walks, tokenizer, rng), 2 * size, rng),
        _pooled(_walk_rows(walks, tokenizer, rng), size, rng),
        _pooled(_pair_rows(walks, tokenizer, rng), size // 2, rng),
    )
    for parts in zip(*sources, strict=False):
        yield batch_of([row for part in parts for group in part for row in group], tokenizer.pad)


def verifier_loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """The three terms: steps, half the pairs' margins, and tokens inside steps."""
    select = labels != IGNORED
    logits, kinds = model(tokens, select=select)[:, 0].float(), labels[select]
    after, inside = kinds < _PAIRED, kinds >= _INSIDE
    margin = logits[kinds == _PAIRED + 1] - logits[kinds == _PAIRED]
    of_steps = F.binary_cross_entropy_with_logits(logits[after], kinds[after].float())
    of_tokens = F.binary_cross_entropy_with_logits(logits[inside], (kinds[inside] - _INSIDE).float())
    return of_steps + _PAIR_WEIGHT * F.softplus(-margin).mean() + of_tokens


def _build(recipe: VerifierRecipe, start: Path) -> VerifierNetwork:
    """The untrained verifier over the language model of an .onnx file."""
    return VerifierNetwork(trained(start), recipe.new_layers)


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
            row = _start(tokenizer, walk.problem)
            for place, step in enumerate(walk.steps):
                correct = walk.last_correct or place < len(walk.steps) - 1
                row = _judged(tokenizer, row, walk, place, (step, correct), int(correct))
            yield (row,)


def _altered_rows(walks: Sequence[Walk], tokenizer: Tokenizer, rng: np.random.Generator) -> Iterator[tuple[Row, ...]]:
    """Correct steps, every other one altered; the results that later steps build on stay, so those remain correct.

    Only tokens inside steps are labelled: half of these steps are incorrect, which is not what the ends should learn.
    """
    while True:
        for index in rng.permutation(len(walks)):
            walk = walks[index]
            steps = walk.steps[: len(walk.steps) - (not walk.last_correct)]
            row = _start(tokenizer, walk.problem)
            for place, step in enumerate(steps):
                correct = bool(rng.random() < 0.5)
                text = step if correct else altered(step, rng, keep_result=place < len(steps) - 1)
                row = _judged(tokenizer, row, walk, place, (text, correct), IGNORED)
            if steps:
                yield (row,)


def _pair_rows(walks: Sequence[Walk], tokenizer: Tokenizer, rng: np.random.Generator) -> Iterator[tuple[Row, ...]]:
    """Pairs of drafts of the models and pairs with an altered step, in turns."""
    forked = [walk for walk in walks if walk.choices]
    sound = [walk for walk in walks if len(walk.steps) > 1 or walk.last_correct]
    while True:
        for source, draw in ((forked, _drafted), (sound, _altered)):
            if source:
                walk = source[rng.integers(len(source))]
                place, correct, incorrect = draw(walk, rng)
                row = _start(tokenizer, walk.problem)
                for step in walk.steps[:place]:
                    row = _read(tokenizer, row, step)
                yield (
                    _judged(tokenizer, row, walk, place, (correct, True), _PAIRED + 1),
                    _judged(tokenizer, row, walk, place, (incorrect, False), _PAIRED),
                )


def _drafted(walk: Walk, rng: np.random.Generator) -> tuple[int, str, str]:
    choice = walk.choices[rng.integers(len(walk.choices))]
    correct, incorrect = ([item.text for item in choice.candidates if item.correct is kind] for kind in (True, False))
    return choice.after, correct[rng.integers(len(correct))], incorrect[rng.integers(len(incorrect))]


def _altered(walk: Walk, rng: np.random.Generator) -> tuple[int, str, str]:
    place = int(rng.integers(len(walk.steps) - (not walk.last_correct)))
    return place, walk.steps[place], altered(walk.steps[place], rng)


def _start(tokenizer: Tokenizer, problem: str) -> Row:
    return _read(tokenizer, ([], []), problem)


def _read(tokenizer: Tokenizer, row: Row, text: str) -> Row:
    """The row with a text that is only read."""
    tokens = [*tokenizer.encode(text), tokenizer.separator]
    return row[0] + tokens, row[1] + [IGNORED] * len(tokens)


def _judged(tokenizer: Tokenizer, row: Row, walk: Walk, place: int, step: tuple[str, bool], after: int) -> Row:
    """The row with a step, (text, correct), at `place` of a walk; `after` is the label of its end."""
    text, correct = step
    tokens = tokenizer.encode(text)
    error = len(tokens) if correct else first_error(tokenizer, _story(walk.problem), walk.steps[:place], text)
    labels = [_INSIDE + 1] * error + [_INSIDE] * (len(tokens) - error)
    return row[0] + [*tokens, tokenizer.separator], row[1] + [*labels, after]


@lru_cache(maxsize=16384)
def _story(problem: str) -> Story:
    return Story.parse(problem)
