"""BabyAI in text: the bundled expert reaches the goal through the environment, and everything follows from the seed."""

import asyncio
from itertools import islice

import pytest

from steproute import Prefix, Step
from steproute.core.errors import ConfigError, DatasetError
from steproute.environments.babyai import ACTIONS, BabyAi, BabyAiGame, babyai

try:
    from minigrid.utils.baby_ai_bot import BabyAIBot
except ImportError:
    BabyAIBot = None
needs_minigrid = pytest.mark.skipif(BabyAIBot is None, reason="needs the extra agents")


def played_by_the_expert(problem, environment):
    """All responses to the expert's actions, each asked of the environment by its prefix."""
    game = BabyAiGame(problem.tags["task"])
    expert, action, prefix, responses = BabyAIBot(game.level), None, Prefix(problem=problem), []
    while not responses or not responses[-1].ends:
        action = expert.replan(action)
        text = f"I act.\nAction: {ACTIONS[int(action)]}"
        game.act(text)
        prefix = prefix.extended(Step(role="weak", text=text, tokens=1))
        responses.append(asyncio.run(environment.respond(prefix)))
    return responses


@needs_minigrid
@pytest.mark.parametrize("level", ["GoToLocal", "PickupLoc", "OpenDoor"])
def test_the_expert_succeeds_and_the_same_seed_gives_the_same_world(level: str) -> None:
    for problem in islice(babyai(level, 0), 5):
        responses = played_by_the_expert(problem, BabyAi())
        assert (responses[-1].ends, responses[-1].reward) == (True, 1.0)
        assert played_by_the_expert(problem, BabyAi()) == responses


@needs_minigrid
def test_a_problem_holds_the_mission_and_the_first_view() -> None:
    first, second = islice(babyai("GoToLocal", 3), 2)
    assert (first.id, first.tags["task"], second.tags["task"]) == ("babyai-GoToLocal/3", "GoToLocal/3", "GoToLocal/4")
    assert first.text.startswith("Your mission: go to the red key.")
    assert "You see " in first.text


@needs_minigrid
def test_an_unknown_action_is_answered_and_takes_no_time() -> None:
    game = BabyAiGame("GoToLocal/3")
    before = game.level.step_count
    assert game.act("Action: fly").text.startswith("There is no action 'fly'. Use one of: turn left,")
    assert game.level.step_count == before


@needs_minigrid
def test_time_runs_out() -> None:
    game = BabyAiGame("GoToLocal/3")
    responses = [game.act("turn left") for _ in range(game.level.max_steps)]
    assert (responses[-1].text, responses[-1].reward) == ("Time is up.", 0.0)


@needs_minigrid
def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(DatasetError, match="no level 'Fly'"):
        next(babyai("Fly", 0))


@pytest.mark.skipif(BabyAIBot is not None, reason="the extra agents is there")
def test_without_the_extra_the_error_names_it() -> None:
    with pytest.raises(ConfigError, match=r"\[agents\]"):
        next(babyai("", 0))
