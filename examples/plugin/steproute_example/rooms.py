"""A world: a corridor of ten rooms to walk in, with its problems."""

from collections.abc import Iterator
from itertools import count

from steproute import Problem, Response
from steproute.environments.replaying import Replaying, action_of

_MOVES = {"left": -1, "right": 1}


class Walk:
    """A game from a task such as `2-7`: from room 2 to room 7, where to stop."""

    def __init__(self, task: str) -> None:
        self.room, self.goal = map(int, task.split("-"))

    def act(self, text: str) -> Response:
        action = action_of(text)
        if action == "stop":
            return Response(text="You stop.", ends=True, reward=float(self.room == self.goal))
        self.room = min(9, max(0, self.room + _MOVES.get(action, 0)))
        return Response(text=f"You are in room {self.room}.")


class Rooms(Replaying[Walk]):
    def __init__(self) -> None:
        super().__init__(Walk)


def rooms(variant: str, seed: int) -> Iterator[Problem]:
    for number in count(seed):
        start, goal = number * 7 % 10, number * 3 % 10
        text = f"Go to room {goal} and stop. Actions: left, right, stop. You are in room {start}."
        yield Problem.ask(text, id=f"rooms-{number}", tags={"task": f"{start}-{goal}"})


rooms.default_count = 50  # type: ignore[attr-defined]
