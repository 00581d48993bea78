"""Train a lab language model to read an example: half of its rows are bare, half begin with a solved step."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.examples import example_text, sentence_steps, training_pairs
from steproute.lab.story import MAX_VALUE, Story, generate
from steproute.lab.tokenizer import SEPARATOR, Tokenizer
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import pad_rows, trained
from steproute.lab.train.transformer import Transformer
from steproute.retrieval.tfidf import TextIndex

_POOL: Final = 8
_IGNORED: Final = -100
_MADE_UP: Final = 0.5
_LIKE_STEP, _LIKE_SENTENCE = 0.6, 0.8
_CALCULATION: Final = re.compile(r"(\d+) ([-+*/]) (?:\w+ )?(\d+) = ")
_RESULT: Final = re.compile(r"(?<== )\d+|(?<=\{)\d+")
_DIGIT: Final = re.compile(r"(?<!\()(?<!\(\d)\d")
_SIGN: Final = re.compile(r"(?<= )[-+*/](?= )")

Row = tuple[list[int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HintedRecipe:
    """start: the lab model whose weights training starts from. Half of each batch is bare. bank: how many (sentence,
    step) pairs of training stories examples come from."""

    start: Literal["weak", "mid"]
    bank: int
    schedule: Schedule
    seed: int = 0


class ExampleSource:
    """Examples for a step.

    Half of those for a calculation show it with a made-up result, which the step then has, too: with correct results
    the model has no need to read examples, because it knows most results. Of the others 60 % are nearest to a stand-in
    for a first try, 20 % nearest to the step's sentence, 20 % random. Every other stand-in is the step itself, since
    most tries are correct; the others are corrupted copies.
    """

    def __init__(self, pairs: list[tuple[str, str]], rng: np.random.Generator) -> None:
        self._pairs, self._rng = pairs, rng
        self._sentences = TextIndex.of([sentence for sentence, _ in pairs])
        self._steps = TextIndex.of([step for _, step in pairs])
        self._by_calculation: defaultdict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        for pair in pairs:
            if match := _CALCULATION.search(pair[1]):
                self._by_calculation[match.groups()].append(pair)

    def draw(self, sentence: str, step: str) -> tuple[str, str]:
        """The example's text, and the step that is learnt beside it."""
        match = _CALCULATION.search(step)
        same = self._by_calculation.get(match.groups()) if match else None
        if not same or self._rng.random() >= _MADE_UP:
            return self._near(sentence, step), step
        shown, solved = same[self._rng.integers(len(same))]
        result = str(self._rng.integers(1, MAX_VALUE + 1))
        return example_text(shown, _RESULT.sub(result, solved)), _RESULT.sub(result, step)

    def _near(self, sentence: str, step: str) -> str:
        draw = self._rng.random()
        if draw < _LIKE_STEP:
            tried = step if self._rng.random() < 0.5 else corrupted(step, self._rng)
            chosen = int(self._steps.similarities(tried).argmax())
        elif draw < _LIKE_SENTENCE:
            chosen = int(self._sentences.similarities(sentence).argmax())
        else:
            chosen = int(self._rng.integers(len(self._pairs)))
        return example_text(*self._pairs[chosen])


def train_hinted(recipe: HintedRecipe, start: Path, folder: Path) -> Transformer:
    """Train from the model in the .onnx file `start`, or continue from the newest checkpoint in `folder`."""
    tokenizer, pairs = Tokenizer(), training_pairs(recipe.bank)
    torch.manual_seed(recipe.seed)
    model = trained(start)

    def batches(step: int) -> Iterator[tuple[Tensor, Tensor]]:
        seed = recipe.seed + 1000 * (step + 1)
        source = ExampleSource(pairs, np.random.default_rng(seed))
        return hinted_batches(tokenizer, source, recipe.schedule.batch, seed)

    fit(model, batches, loss_by_row, recipe.schedule, folder)
    return model


def hinted_batches(
    tokenizer: Tokenizer, source: ExampleSource, size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, targets), each (size, time); half of the rows are bare, half begin with an example.

    One bare story in eight is hard; half of the stories with an example are easy, the others are standard.
    """
    rng = np.random.default_rng([seed, 1])
    easy, standard, hard = (generate("train", seed=seed, difficulty=each) for each in ("easy", "standard", "hard"))
    half = size * _POOL // 2
    while True:
        bare = chain(islice(standard, half * 7 // 8), islice(hard, half - half * 7 // 8))
        hinted = chain(islice(standard, half // 2), islice(easy, half - half // 2))
        made = [
            *(bare_row(tokenizer, Story.parse(problem.text)) for problem in bare),
            *(hinted_row(tokenizer, Story.parse(problem.text), source, rng) for problem in hinted),
        ]
        made.sort(key=lambda row: len(row[0]))
        for part in rng.permutation(_POOL):
            chunk = made[part * size : (part + 1) * size]
            yield (
                pad_rows([tokens[:-1] for tokens, _ in chunk], tokenizer.pad),
                pad_rows([[_IGNORED] * (read - 1) + tokens[read:] for tokens, read in chunk], _IGNORED),
            )


def bare_row(tokenizer: Tokenizer, story: Story) -> Row:
    """The story and its whole solution; the second part is how many tokens are only read."""
    return _row(tokenizer, [story.text], story.solution(), last=True)


def hinted_row(tokenizer: Tokenizer, story: Story, source: ExampleSource, rng: np.random.Generator) -> Row:
    """An example, the story, some correct steps, and the next one, which alone is learnt."""
    pairs = sentence_steps(story)
    place = int(rng.integers(len(pairs)))
    before = [step for _, step in pairs[:place]]
    example, step = source.draw(*pairs[place])
    return _row(tokenizer, [example, story.text, *before], [step], last=place == len(pairs) - 1)


def corrupted(step: str, rng: np.random.Generator) -> str:
    """The step with one digit or its sign changed; labels stay."""
    signs, digits = list(_SIGN.finditer(step)), list(_DIGIT.finditer(step))
    if signs and rng.random() < 0.25:
        match, choices = signs[0], "+-*/"
    else:
        match, choices = digits[rng.integers(len(digits))], "0123456789"
    others = [choice for choice in choices if choice != match.group()]
    return f"{step[: match.start()]}{others[rng.integers(len(others))]}{step[match.end() :]}"


def loss_by_row(model: Transformer, tokens: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy, first averaged in each row: one step beside an example counts as much as a whole solution."""
    learnt = targets != _IGNORED
    outputs = model(tokens, select=learnt)
    losses = F.cross_entropy(outputs.float(), targets[learnt], reduction="none")
    weights = (1.0 / learnt.sum(1)).unsqueeze(1).expand(learnt.shape)[learnt]
    return (losses * weights).sum() / len(tokens)


def _row(tokenizer: Tokenizer, read: list[str], learnt: list[str], *, last: bool) -> Row:
    """`last`: the solution ends with these steps; otherwise they are closed by a separator."""
    prompt = [*tokenizer.encode(SEPARATOR.join(read)), tokenizer.separator]
    solution = tokenizer.encode(SEPARATOR.join(learnt))
    return [*prompt, *solution, tokenizer.end if last else tokenizer.separator], len(prompt)
