"""Train an agent to take the expert's actions, and the PRM to tell good actions from others."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.environments.house.reading import ACTIONS, words_of
from steproute.lab.train.fitting import Schedule, fit
from steproute.lab.train.language_model import next_token_loss
from steproute.lab.train.reward_model import step_loss
from steproute.lab.train.transformer import Shape, Transformer
from steproute.learn.house.games import Lesson, lessons

_IGNORED: Final = -100
_PAD: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseRecipe:
    """Everything that decides a network's weights. The schedule's batch is in games."""

    width: int
    layers: int
    heads: int
    schedule: Schedule
    seed: int


class WordSets(nn.Embedding):
    """The sum of the vectors of each position's words; index 0 is no word."""

    def forward(self, words: Tensor) -> Tensor:
        """words: (batch, time, word). Returns (batch, time, width)."""
        sums = F.embedding_bag(words.flatten(0, 1), self.weight, mode="sum", padding_idx=_PAD)
        return sums.view(*words.shape[:2], -1)


def vocabulary() -> tuple[str, ...]:
    """The words of games, by index."""
    games = islice(lessons("words"), 1000)
    return ("", *sorted({word for lesson in games for words in words_of(lesson.texts) for word in words}))


def train_agent(recipe: HouseRecipe, words: tuple[str, ...], folder: Path) -> Transformer:
    """Train on games of the expert, or continue from the checkpoint in `folder`."""
    model = _network(recipe, len(words), len(ACTIONS))
    fit(model, _batches(recipe, words, lessons, _actions), next_token_loss, recipe.schedule, folder)
    return model


def train_scorer(
    recipe: HouseRecipe, words: tuple[str, ...], games: Callable[[str], Iterator[Lesson]], folder: Path
) -> Transformer:
    """Train on the games that `games` gives for a seed, or continue from the checkpoint in `folder`."""
    model = _network(recipe, len(words), 1)
    fit(model, _batches(recipe, words, games, _labels), step_loss, recipe.schedule, folder)
    return model


def write_network(model: Transformer, words: tuple[str, ...], path: Path) -> None:
    """Write the .safetensors file that HouseNetwork reads, in half precision."""
    facts = {"words": json.dumps(words), "heads": str(model.shape.heads), "layers": str(model.shape.layers)}
    save_file({name: array.half().contiguous() for name, array in model.state_dict().items()}, path, facts)


def _network(recipe: HouseRecipe, words: int, outputs: int) -> Transformer:
    torch.manual_seed(recipe.seed)
    sizes = {"width": recipe.width, "layers": recipe.layers, "heads": recipe.heads}
    model = Transformer(Shape(vocabulary=words, outputs=outputs, **sizes))
    model.embed = WordSets(words, recipe.width, padding_idx=_PAD)
    nn.init.normal_(model.embed.weight, std=0.3)
    nn.init.zeros_(model.embed.weight[_PAD].data)
    return model


def _batches(
    recipe: HouseRecipe,
    words: tuple[str, ...],
    games: Callable[[str], Iterator[Lesson]],
    targets: Callable[[Lesson], list[int]],
) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    index = {word: number for number, word in enumerate(words)}

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        stream = games(f"{recipe.seed}/{start}")
        while True:
            chunk = list(islice(stream, recipe.schedule.batch))
            read = [[[index[word] for word in text] for text in words_of(lesson.texts)] for lesson in chunk]
            yield _padded(read), _rows([targets(lesson) for lesson in chunk])

    return batches


def _padded(games: list[list[list[int]]]) -> Tensor:
    """(game, text, word)"""
    longest, most = max(map(len, games)), max(len(words) for game in games for words in game)
    tensor = torch.full((len(games), longest, most), _PAD)
    for row, game in enumerate(games):
        for place, words in enumerate(game):
            tensor[row, place, : len(words)] = torch.tensor(words)
    return tensor


def _rows(targets: list[list[int]]) -> Tensor:
    """(game, text)"""
    longest = max(map(len, targets))
    return torch.tensor([row + [_IGNORED] * (longest - len(row)) for row in targets])


def _actions(lesson: Lesson) -> list[int]:
    """After each view the expert's action; nothing after the task, an action and the last view."""
    found = [each for best in lesson.best for each in (ACTIONS.index(best), _IGNORED)]
    return [_IGNORED, *found, _IGNORED]


def _labels(lesson: Lesson) -> list[int]:
    """After each action whether it is good."""
    return [_IGNORED, _IGNORED, *(each for good in lesson.good for each in (int(good), _IGNORED))]
