"""What agents of the house learn from, and that NumPy runs what PyTorch has trained."""

import random
from itertools import islice

import pytest

pytest.importorskip("torch", reason="training needs the learn extra")
import torch

from steproute.environments.house.game import House
from steproute.environments.house.network import HouseNetwork
from steproute.environments.house.reading import ACTIONS, words_of
from steproute.lab.train.fitting import Schedule
from steproute.learn.house.games import lessons
from steproute.learn.house.imitation import HouseRecipe, train_agent, train_scorer, vocabulary, write_network

pytestmark = pytest.mark.training

RECIPE = HouseRecipe(width=16, layers=2, heads=2, schedule=Schedule(steps=2, batch=4, mixed=False), seed=0)


def test_lessons_hold_games_with_the_experts_action_at_each_turn() -> None:
    for lesson in islice(lessons("a"), 30):
        game = House(int(lesson.texts[0].split()[1].strip(".")))
        actions = lesson.texts[2::2]
        for action, best, good in zip(actions, lesson.best, lesson.good, strict=True):
            assert best in game.best_actions()
            assert good == (action in game.best_actions())
            response = game.act(action)
        assert response.ends


def test_the_same_seed_gives_the_same_lessons() -> None:
    first, second, other = (next(lessons(seed)).texts for seed in ("a", "a", "b"))
    assert first == second != other


def test_a_player_writes_the_actions_of_its_lessons() -> None:
    lesson = next(lessons("a", lambda texts: random.Random(len(texts)).choice(ACTIONS)))
    assert all(action == random.Random(2 + 2 * turn).choice(ACTIONS) for turn, action in enumerate(lesson.texts[2::2]))


@pytest.mark.parametrize("kind", ["agent", "scorer"])
def test_numpy_computes_what_pytorch_trained(tmp_path, kind: str) -> None:
    words, texts = vocabulary(), next(lessons("b")).texts
    agent = kind == "agent"
    model = train_agent(RECIPE, words, tmp_path) if agent else train_scorer(RECIPE, words, lessons, tmp_path)
    for weights in model.parameters():  # training begins with zeros in many places
        weights.data += 0.2 * torch.randn(weights.shape) * (weights.abs().sum(-1, keepdim=True) > 0)
    model.head.weight.data += 0.2 * torch.randn(model.head.weight.shape)
    write_network(model, words, tmp_path / "network.safetensors")
    expected = outputs(model, words, texts)
    assert HouseNetwork(tmp_path / "network.safetensors").outputs(texts) == pytest.approx(expected, abs=0.05)
    assert abs(expected).max() > 0.3


def outputs(model, words, texts):
    """PyTorch's outputs after each text."""
    sets = [[words.index(word) for word in each] for each in words_of(texts)]
    most = max(map(len, sets))
    read = torch.tensor([[each + [0] * (most - len(each)) for each in sets]])
    with torch.no_grad():
        return model(read, torch.ones(read.shape[:2], dtype=torch.bool)).numpy()
