"""Train a lab language model to read an example: some of its rows are bare, the others begin with a solved step."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.lab.examples import as_read, sentence_steps, training_pairs
from steproute.lab.story import MAX_VALUE, Story, generate
from steproute.lab.tokenizer import SEPARATOR, Tokenizer
from steproute.lab.train.fitting import fit
from steproute.lab.train.language_model import Recipe, build
from steproute.lab.train.pools import POOL, Pool, pooled
from steproute.lab.train.rows import IGNORED, Row, batch_of, row_of
from steproute.lab.train.transformer import Transformer
from steproute.retrieval.tfidf import TextIndex

_MADE_UP: Final = 0.5
_LIKE_STEP, _LIKE_SENTENCE = 0.6, 0.8
_CALCULATION: Final = re.compile(r"(\d+) ([-+*/]) (?:\w+ )?(\d+) = ")
_RESULT: Final = re.compile(r"(?<== )\d+|(?<=\{)\d+")
_DIGIT: Final = re.compile(r"(?<!\()(?<!\(\d)\d")
_SIGN: Final = re.compile(r"(?<= )[-+*/](?= )")


@dataclass(frozen=True, slots=True, kw_only=True)
class HintedRecipe:
    """Everything that decides the weights of a model that reads examples.

    shape: of a model that starts untrained. bank: how many (sentence, step) pairs of training stories examples come
    from. calculating: the share of bare rows in which the results of calculations are learnt.
    """

    shape: Recipe
    bank: int
    calculating: float


class ExampleSource:
    """Examples for a step.

    Half of those for a calculation show it with a made-up result, which the step then has, too: with correct results
    the model would not need to read them. The others show another calculation, which must not be copied: 60 % nearest
    to a stand-in for a first try, 20 % nearest to the step's sentence, 20 % random. Every other stand-in is the step
    itself, since most tries are correct; the others are corrupted copies.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._sentences = TextIndex.of([sentence for sentence, _ in pairs])
        self._steps = TextIndex.of([step for _, step in pairs])
        self._same: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, (_, step) in enumerate(pairs):
            if match := _CALCULATION.search(step):
                self._same[match.groups()].append(place)

    def draw(self, sentence: str, step: str, rng: np.random.Generator) -> tuple[str, str]:
        """The example's text, and the step that is learnt beside it."""
        match = _CALCULATION.search(step)
        same = self._same.get(match.groups(), []) if match else []
        if not same or rng.random() >= _MADE_UP:
            return self._near(sentence, step, same, rng), step
        shown, solved = self._pairs[rng.choice(same)]
        result = str(rng.integers(1, MAX_VALUE + 1))
        return _shown(shown, _RESULT.sub(result, solved)), _RESULT.sub(result, step)

    def _near(self, sentence: str, step: str, without: list[int], rng: np.random.Generator) -> str:
        draw = rng.random()
        if draw < _LIKE_STEP:
            similarities = self._steps.similarities(step if rng.random() < 0.5 else corrupted(step, rng))
        elif draw < _LIKE_SENTENCE:
            similarities = self._sentences.similarities(sentence)
        else:
            similarities = rng.random(len(self._pairs))
        similarities[without] = -1.0
        return _shown(*self._pairs[similarities.argmax()])


def train_hinted(recipe: HintedRecipe, folder: Path, device: str = "cpu", processes: int = 1) -> Transformer:
    """Train, or continue from the newest checkpoint in `folder`.

    processes: how many make rows; their number does not change the result.
    """
    torch.manual_seed(recipe.shape.seed)
    model = build(recipe.shape).to(device)

    def batches(step: int) -> Iterator[tuple[Tensor, Tensor]]:
        return pooled(partial(hinted_pool, recipe), step, processes)

    fit(model, batches, loss_by_row, recipe.shape.schedule, folder)
    return model.cpu()


def hinted_pool(recipe: HintedRecipe, index: int) -> Pool:
    """POOL batches of (tokens, targets), each (row, time).

    Each story gives a bare row and one with an example. One story in eight is hard, two are easy, the others are
    standard.
    """
    tokenizer, source, rng = Tokenizer(), _examples(recipe.bank), np.random.default_rng([recipe.shape.seed, index])
    seed, size = int(rng.integers(2**31)), recipe.shape.schedule.batch
    stories = size * POOL // 2
    easy, standard, hard = (generate("train", seed=seed, difficulty=each) for each in ("easy", "standard", "hard"))
    problems = chain(islice(hard, stories // 8), islice(easy, stories // 4), standard)
    made = list[Row]()
    for problem in islice(problems, stories):
        story = Story.parse(problem.text)
        bare = bare_row(tokenizer, story, calculating=rng.random() < recipe.calculating)
        made += [bare, hinted_row(tokenizer, story, source, rng)]
    made.sort(key=lambda row: len(row[0]))
    chunks = [made[part * size : (part + 1) * size] for part in rng.permutation(POOL)]
    return [batch_of(chunk, tokenizer.pad) for chunk in chunks]


def _shown(sentence: str, step: str) -> str:
    return as_read(f"{sentence}{SEPARATOR}{step}")


@cache
def _examples(bank: int) -> ExampleSource:
    return ExampleSource(training_pairs(bank))


def bare_row(tokenizer: Tokenizer, story: Story, *, calculating: bool) -> Row:
    """The story and its whole solution; without `calculating` the results of calculations are not learnt."""
    tokens, targets = row_of(tokenizer, [story.text], story.solution(), last=True)
    if not calculating:
        results = _results(tokenizer, tokens)
        targets = [IGNORED if place + 1 in results else target for place, target in enumerate(targets)]
    return tokens, targets


def hinted_row(tokenizer: Tokenizer, story: Story, source: ExampleSource, rng: np.random.Generator) -> Row:
    """An example, the story, some correct steps, and the next one, which alone is learnt."""
    pairs = sentence_steps(story)
    place = int(rng.integers(len(pairs)))
    before = [step for _, step in pairs[:place]]
    example, step = source.draw(*pairs[place], rng)
    return row_of(tokenizer, [example, story.text, *before], [step], last=place == len(pairs) - 1)


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
    learnt = targets != IGNORED
    outputs = model(tokens, select=learnt)
    losses = F.cross_entropy(outputs.float(), targets[learnt], reduction="none")
    weights = (1.0 / learnt.sum(1)).unsqueeze(1).expand(learnt.shape)[learnt]
    return (losses * weights).sum() / len(tokens)


def _results(tokenizer: Tokenizer, tokens: Sequence[int]) -> set[int]:
    """Where the digits after an equals sign or in a box are, and what closes them."""
    opening = set(tokenizer.encode("= \\boxed{"))
    digits = set(tokenizer.encode("0123456789"))
    found, inside = set[int](), False
    for place, token in enumerate(tokens):
        if inside:
            found.add(place)
        inside = token in opening or (inside and token in digits)
    return found
