"""Worlds that are played: each answer replays the actions so far from the start that a problem names."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from steproute.core.errors import EnvironmentFailed
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.core.solution import Prefix

TASK: Final = "task"
"""The tag of a problem that names its start."""

_Place = tuple[str, tuple[str, ...]]


class Game(Protocol):
    """A world being played, the same for the same actions."""

    def act(self, text: str) -> Response:
        """Take the action that a step's text names. The reward of the last action is 1 for success, else 0 or None."""
        ...


_Game = TypeVar("_Game", bound=Game)


class Replaying(Generic[_Game]):
    """An environment over games. `begin(task)` starts the game that the tag `task` of a problem names.

    It keeps the `kept` newest games, so that a step need not replay all of them. No answer depends on that.
    """

    def __init__(self, begin: Callable[[str], _Game], kept: int = 256) -> None:
        self._begin, self._kept = begin, kept
        self._games: OrderedDict[_Place, _Game] = OrderedDict()

    async def respond(self, prefix: Prefix) -> Response:
        """The game's answer to the newest step. Raises EnvironmentFailed for a problem without a task."""
        task = task_of(prefix.problem)
        *before, action = _actions(prefix)
        game = self._taken(task, before)
        response = game.act(action)
        self._keep((task, (*before, action)), game)
        return response

    def game(self, prefix: Prefix) -> _Game:
        """The game after the prefix's actions, to look at. Raises EnvironmentFailed for a problem without a task."""
        task, actions = task_of(prefix.problem), _actions(prefix)
        game = self._taken(task, actions)
        self._keep((task, tuple(actions)), game)
        return game

    def _taken(self, task: str, actions: list[str]) -> _Game:
        """The game after these actions, which is no longer kept."""
        if (game := self._games.pop((task, tuple(actions)), None)) is not None:
            return game
        shorter = self._games.pop((task, tuple(actions[:-1])), None)
        game = shorter or self._begin(task)
        for action in actions[-1:] if shorter else actions:
            game.act(action)
        return game

    def _keep(self, place: _Place, game: _Game) -> None:
        self._games[place] = game
        if len(self._games) > self._kept:
            self._games.popitem(last=False)


def task_of(problem: Problem) -> str:
    """The start that a problem names. Raises EnvironmentFailed if it names none."""
    if TASK not in problem.tags:
        raise EnvironmentFailed(
            f"problem {problem.id!r} names no task.", where=f"tags.{TASK}", remedy="Use the world's own data set."
        )
    return problem.tags[TASK]


def _actions(prefix: Prefix) -> list[str]:
    """The texts of the steps, without an answer that scorers read in the same step."""
    return [step.text.partition(prefix.separator)[0] for step in prefix.written]


def action_of(text: str) -> str:
    """The action that a step names: what follows its last "Action:", else its last line."""
    lines = text.strip().splitlines() or [""]
    _, found, action = text.rpartition("Action:")
    return (action.strip().splitlines() or [""])[0].strip() if found else lines[-1].strip()
