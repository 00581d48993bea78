"""TextWorldExpress: its own solutions succeed in the environment, and games in turns do not disturb each other."""

import asyncio
from itertools import islice

import pytest

from steproute import Prefix, Step
from steproute.core.errors import ConfigError, DatasetError
from steproute.environments.textworld import MOST_ACTIONS, TextWorld, TextWorldGame, textworld

try:
    import textworld_express
except ImportError:
    textworld_express = None
needs_textworld = pytest.mark.skipif(textworld_express is None, reason="needs the extra agents")


def solution(problem):
    """The actions of TextWorldExpress's own solution."""
    game = TextWorldGame(problem.tags["task"])
    game._program.reset(generateGoldPath=True)
    return game._program.getGoldActionSequence()


def longer(prefix, action):
    return prefix.extended(Step(role="weak", text=f"I act.\nAction: {action}", tokens=1))


@needs_textworld
@pytest.mark.parametrize("game", ["coin", "mapreader", "arithmetic", "sorting"])
def test_the_games_own_solution_succeeds(game: str) -> None:
    (problem,), environment = islice(textworld(game, 3), 1), TextWorld()
    prefix, responses = Prefix(problem=problem), []
    for action in solution(problem):
        prefix = longer(prefix, action)
        responses.append(asyncio.run(environment.respond(prefix)))
    assert (responses[-1].ends, responses[-1].reward) == (True, 1.0)
    assert not any(response.ends for response in responses[:-1])


@needs_textworld
def test_two_games_in_turns_are_answered_as_one_after_the_other() -> None:
    problems = [*islice(textworld("mapreader", 0), 2)]
    actions = [solution(problem)[:4] for problem in problems]

    def answers(in_turns: bool):
        environment, prefixes, texts = TextWorld(), [Prefix(problem=problem) for problem in problems], {}
        places = [(index, number) for number in range(4) for index in (0, 1)]
        for index, number in places if in_turns else sorted(places):
            prefixes[index] = longer(prefixes[index], actions[index][number])
            texts[index, number] = asyncio.run(environment.respond(prefixes[index])).text
        return texts

    assert answers(in_turns=True) == answers(in_turns=False)


@needs_textworld
def test_a_problem_holds_the_task_the_first_view_and_the_actions() -> None:
    first, second = islice(textworld("coin", 3), 2)
    assert (first.tags["task"], second.tags["task"]) == ("coin/20003", "coin/20004")
    assert "find the coin" in first.text
    assert "look around" in first.text
    assert "You are in the " in first.text
    assert next(textworld("coin:train", 3)).tags["task"] == "coin/3"


@needs_textworld
def test_an_unknown_action_is_answered_and_time_runs_out() -> None:
    game = TextWorldGame("coin/20003")
    responses = [game.act("Action: fly") for _ in range(MOST_ACTIONS)]
    assert responses[0].text.startswith("Unknown action")
    assert (responses[-1].text, responses[-1].reward) == ("Time is up.", 0.0)


@needs_textworld
@pytest.mark.parametrize(("variant", "message"), [("chess", "no task"), ("coin:mine", "no fold 'mine'")])
def test_an_unknown_game_or_fold_is_refused(variant: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        next(textworld(variant, 0))


@pytest.mark.skipif(textworld_express is not None, reason="the extra agents is there")
def test_without_the_extra_the_error_names_it() -> None:
    with pytest.raises(ConfigError, match=r"\[agents\]"):
        next(textworld("", 0))
