"""Games that an expert plays with slips: what the agents imitate, and what the PRM tells apart."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from steproute.environments.house.game import House
from steproute.environments.house.network import HouseNetwork
from steproute.environments.house.reading import ACTIONS

Player = Callable[[Sequence[str]], str]
"""An action for the texts of a game so far."""

_FIRST: Final = 800_000_000
_MANY: Final = 100_000_000
_SLIPS: Final = (0.0, 0.1, 0.3)
_HOT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """A game. texts: see `reading.texts_of`. best: an action of the expert's before each action, and whether the action
    that was taken is as good."""

    texts: list[str]
    best: list[str]
    good: list[bool]


def lessons(seed: str, player: Player | None = None) -> Iterator[Lesson]:
    """Games of houses that no data set has, without end. Each has its own share of slips: actions of `player`, or
    random ones that are not the best."""
    draw = random.Random(f"lessons/{seed}")
    while True:
        yield _lesson(House(_FIRST + draw.randrange(_MANY)), draw, player)


def _lesson(game: House, draw: random.Random, player: Player | None) -> Lesson:
    slips, ends = draw.choice(_SLIPS if player is None else (1.0,)), False
    lesson = Lesson(texts=game.task_text().split("\n", 1), best=[], good=[])
    while not ends:
        action = best = draw.choice(game.best_actions())
        lesson.best.append(best)
        if draw.random() < slips:
            action = draw.choice(game.other_actions()) if player is None else player(lesson.texts)
        lesson.good.append(action in game.best_actions())
        response = game.act(f"Action: {action}")
        lesson.texts.extend((action, response.text))
        ends = response.ends
    return lesson


def judged_lessons(network: HouseNetwork, count: int) -> Callable[[str], Iterator[Lesson]]:
    """Games for the PRM by seed: in turns one of `count` that an agent's network plays, and one of the expert's.

    The agent acts at a temperature of 2, so that a third of its actions are mistakes, of the kind that it makes.
    """
    rng = np.random.default_rng(0)

    def act(texts: Sequence[str]) -> str:
        weights = np.exp(network.outputs(texts)[-1].astype(np.float64) / _HOT)
        return str(rng.choice(ACTIONS, p=weights / weights.sum()))

    own = list(islice(lessons("own", act), count))

    def games(seed: str) -> Iterator[Lesson]:
        draw = random.Random(f"judged/{seed}")
        for expert in lessons(seed):
            yield draw.choice(own)
            yield expert

    return games
