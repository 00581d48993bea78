"""Worlds that are played: each answer replays the actions so far from the start that a problem names."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

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


class Replaying:
    """An environment over games. `begin(task)` starts the game that the tag `task` of a problem names.

    It keeps the `kept` newest games, so that a step need not replay all of them. No answer depends on that.
    """

    def __init__(self, begin: Callable[[str], Game], kept: int = 256) -> None:
        self._begin, self._kept = begin, kept
        self._games: OrderedDict[_Place, Game] = OrderedDict()

    async def respond(self, prefix: Prefix) -> Response:
        """The game's answer to the newest step. Raises EnvironmentFailed for a problem without a task."""
        task = task_of(prefix.problem)
        *before, action = [step.text for step in prefix.written]
        game = self._games.pop((task, tuple(before)), None) or self._replayed(task, before)
        response = game.act(action)
        self._games[task, (*before, action)] = game
        if len(self._games) > self._kept:
            self._games.popitem(last=False)
        return response

    def _replayed(self, task: str, actions: list[str]) -> Game:
        game = self._begin(task)
        for action in actions:
            game.act(action)
        return game


def task_of(problem: Problem) -> str:
    """The start that a problem names. Raises EnvironmentFailed if it names none."""
    if TASK not in problem.tags:
        raise EnvironmentFailed(
            f"problem {problem.id!r} names no task.", where=f"tags.{TASK}", remedy="Use the world's own data set."
        )
    return problem.tags[TASK]


def action_of(text: str) -> str:
    """The action that a step names: what follows its last "Action:", else its last line."""
    lines = text.strip().splitlines() or [""]
    _, found, action = text.rpartition("Action:")
    return (action.strip().splitlines() or [""])[0].strip() if found else lines[-1].strip()
