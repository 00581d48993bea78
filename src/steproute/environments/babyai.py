"""BabyAI (MiniGrid) as a world in text: missions in grid rooms that an agent sees in part. Extra `[agents]`."""

from collections.abc import Iterator
from typing import Any, Final

from steproute.core.errors import ConfigError, DatasetError, EnvironmentFailed
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.environments.replaying import TASK, Replaying, action_of

NAME: Final = "babyai"
ACTIONS: Final = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "done")
"""In the order of MiniGrid's numbers."""
_DEFAULT: Final = "GoToLocal"
_FEW: Final = ("one", "two", "three", "four", "five", "six", "seven")


class BabyAiGame:
    """One mission, from a task such as `GoToLocal/3`: the level and the seed. `level` is MiniGrid's own environment.

    The reward of the last action is 1 for success and 0 if time is up. Raises ConfigError without the extra, and
    EnvironmentFailed for an unknown level.
    """

    def __init__(self, task: str) -> None:
        name, _, seed = task.rpartition("/")
        self.level = _level(name)
        if not seed.isdecimal():
            raise EnvironmentFailed(f"{task!r} is no task.", where="babyai", remedy="Write LEVEL/SEED.")
        self._seen, _ = self.level.reset(seed=int(seed))

    @property
    def mission(self) -> str:
        """What is to be done."""
        return str(self._seen["mission"])

    def act(self, text: str) -> Response:
        """See Game. Another action than those of `ACTIONS` is answered by their list and takes no time."""
        action = action_of(text).lower().strip(" .\"'`")
        if action not in ACTIONS:
            return Response(text=f"There is no action {action[:40]!r}. Use one of: {', '.join(ACTIONS)}.")
        self._seen, reward, succeeded, out_of_time, _ = self.level.step(ACTIONS.index(action))
        if succeeded:
            return Response(
                text="You have done it." if reward > 0 else "You failed.", ends=True, reward=float(reward > 0)
            )
        if out_of_time:
            return Response(text="Time is up.", ends=True, reward=0.0)
        return Response(text=self.view())

    def view(self) -> str:
        """What the agent sees: each thing with its distance ahead and to the side, and what it carries."""
        things = [*_things(self._seen["image"])]
        carried = self.level.carrying
        holds = f" You carry a {carried.color} {carried.type}." if carried is not None else ""
        return f"You see {', '.join(things) or 'nothing'}.{holds}"


class BabyAi(Replaying[BabyAiGame]):
    """The environment `babyai`, for problems of the data set of the same name."""

    def __init__(self) -> None:
        super().__init__(BabyAiGame)


def babyai(variant: str, seed: int) -> Iterator[Problem]:
    """Missions of a level without end, from the level's seed `seed`. variant: the level, such as `GoToLocal`.

    Raises ConfigError without the extra, and DatasetError for an unknown level.
    """
    name = variant or _DEFAULT
    while True:
        task = f"{name}/{seed}"
        try:
            game = BabyAiGame(task)
        except EnvironmentFailed as failure:
            raise DatasetError(failure.message, where="data", remedy=failure.remedy) from None
        yield Problem.ask(
            id=f"babyai-{task}",
            text=f"Your mission: {game.mission}. You are in a grid of rooms and see a part of it. "
            f"Actions: {', '.join(ACTIONS)}.\n{game.view()}",
            tags={TASK: task},
        )
        seed += 1


def is_babyai(data: str) -> bool:
    """Whether a data set's name is that of BabyAI."""
    return data.partition(":")[0] == NAME


babyai.default_count = 100  # type: ignore[attr-defined]


def _level(name: str) -> Any:
    try:
        import gymnasium
        import minigrid  # noqa: F401 - it registers the levels
    except ImportError:
        raise ConfigError(
            "BabyAI needs the package minigrid.", where="babyai", remedy="Install the extra: pip install '.[agents]'."
        ) from None
    found = [each for each in gymnasium.registry if each.rpartition("-v")[0] == f"BabyAI-{name}"]
    if not found:
        raise EnvironmentFailed(
            f"BabyAI has no level {name!r}.", where="babyai", remedy="Use one such as GoToLocal, PickupLoc or Open."
        )
    return gymnasium.make(found[-1], disable_env_checker=True).unwrapped


def _things(image: Any) -> Iterator[str]:
    """The things in view, the nearest first; image: (across, along, facts), the agent in the middle of the last row."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX

    width, depth, _ = image.shape
    states = {number: state for state, number in STATE_TO_IDX.items()}
    for ahead in range(depth):
        for side in sorted(range(-(width // 2), width // 2 + 1), key=abs):
            kind, colour, state = (int(fact) for fact in image[width // 2 + side, depth - 1 - ahead])
            thing = IDX_TO_OBJECT[kind]
            if (ahead == 0 and side == 0) or thing in ("unseen", "empty", "floor", "agent"):
                continue
            if thing == "wall":
                if side == 0:
                    yield f"a wall {_place(ahead, side)}"
                continue
            how = f"{states[state]} " if thing == "door" else ""
            yield f"a {how}{IDX_TO_COLOR[colour]} {thing} {_place(ahead, side)}"


def _place(ahead: int, side: int) -> str:
    along = f"{_FEW[ahead - 1]} ahead" if ahead else ""
    across = f"{_FEW[abs(side) - 1]} to the {'left' if side < 0 else 'right'}" if side else ""
    return " and ".join(filter(None, (along, across)))
