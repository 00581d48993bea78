"""The house: fetch a thing from a locked box, and put it where it belongs. Putting it anywhere else is final."""

import random
import re
from collections.abc import Iterator
from typing import Final

from steproute.core.errors import DatasetError
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.environments.replaying import TASK, action_of

NAME: Final = "house"
MOST_ACTIONS: Final = 24
ROOMS: Final = ("hall", "kitchen", "study", "bedroom", "cellar", "garden")
THINGS: Final = ("lamp", "vase", "book", "clock", "radio", "violin")
PLACES: Final = tuple(f"{room} {place}" for room in ROOMS for place in ("table", "shelf"))
_FIRST: Final = {"": 100_000_000, "test": 100_000_000, "train": 500_000_000}
_ACTION: Final = re.compile(r"(go|take|unlock|put|drop)\(([a-z ]*)\)")


class House:
    """A game. number: of the house, its seed. `goal` is the thing to fetch and the place where it belongs."""

    def __init__(self, number: int) -> None:
        self.number, draw = number, random.Random(f"house/{number}")
        self.doors: dict[str, list[str]] = {room: [] for room in ROOMS}
        for index in range(1, len(ROOMS)):
            self._connect(ROOMS[index], draw.choice(ROOMS[:index]))
        self.room, self.holds, self.taken = "hall", "", 0
        self.visited = {self.room}
        self.box, key = draw.sample(ROOMS[1:], 2)
        thing = draw.choice(THINGS)
        self.where = {other: draw.choice(ROOMS) for other in THINGS if other != thing} | {"key": key, thing: "box"}
        self.goal = (thing, draw.choice(PLACES))

    def task_text(self) -> str:
        """The problem: what is to be done, and what the agent sees first."""
        return (
            f"House {self.number}. Find the {self.goal[0]} and put it on the {self.goal[1]}. It is in a locked box; a "
            f"key is in the house. You have {MOST_ACTIONS} actions and one free hand, and what you put stays there. "
            f"Actions: go(ROOM), take(THING), unlock(box), put(PLACE), drop().\n{self.view()}"
        )

    def act(self, text: str) -> Response:
        """See Game."""
        self.taken += 1
        match = _ACTION.fullmatch(action_of(text).lower())
        said = self._done(*match.groups()) if match else " Use go, take, unlock, put or drop, such as go(hall)."
        if said is None:
            succeeded = match is not None and (self.holds, match[2]) == self.goal
            return Response(text="It stays there.", ends=True, reward=float(succeeded))
        if self.taken >= MOST_ACTIONS:
            return Response(text="Time is up.", ends=True, reward=0.0)
        return Response(text=f"{self.view()}{said}")

    def view(self) -> str:
        """What the agent sees."""
        things = sorted(thing for thing, place in self.where.items() if place == self.room)
        box = ["a locked box"] if self.box == self.room and "box" in self.where.values() else []
        seen = ", ".join(box + [f"the {thing}" for thing in things]) or "nothing to take"
        return f"The {self.room}: {seen}. Doors: {', '.join(sorted(self.doors[self.room]))}."

    def best_actions(self) -> tuple[str, ...]:
        """The actions that are equally good for one who knows only what was seen in this game."""
        thing, place = self.goal
        wanted = "key" if self.where[thing] == "box" else thing
        if self.holds not in ("", wanted):
            return ("drop()",)
        if not self.holds:
            room, action = self.where[wanted], f"take({wanted})"
        elif wanted == "key":
            room, action = self.box, "unlock(box)"
        else:
            return self._put(place)
        return (action,) if room == self.room else self._ways({room} if room in self.visited else self._frontier)

    def other_actions(self) -> tuple[str, ...]:
        """The actions that can be named here and are not among the best."""
        things = [thing for thing, place in self.where.items() if place == self.room]
        actions = [f"go({room})" for room in self.doors[self.room]] + [f"take({thing})" for thing in things]
        actions += ["unlock(box)", *(["drop()", *self._places] if self.holds else [])]
        best = self.best_actions()
        return tuple(action for action in actions if action not in best)

    @property
    def _places(self) -> list[str]:
        return [f"put({place})" for place in PLACES if place.split()[0] == self.room]

    def _put(self, place: str) -> tuple[str, ...]:
        room = place.split()[0]
        if room == self.room:
            return (f"put({place})",)
        return self._ways({room} if room in self.visited | self._frontier else self._frontier)

    @property
    def _frontier(self) -> set[str]:
        """Rooms behind doors that were seen, which were not entered."""
        return {door for room in self.visited for door in self.doors[room]} - self.visited

    def _done(self, verb: str, what: str) -> str | None:
        """What is said of an action after the view; None if it is final."""
        if verb == "go" and what in self.doors[self.room]:
            self.room = what
            self.visited.add(what)
        elif verb == "take" and not self.holds and self.where.get(what) == self.room:
            self.holds, self.where[what] = what, "hand"
        elif verb == "drop" and self.holds:
            self.where[self.holds], self.holds = self.room, ""
        elif verb == "unlock" and self.holds == "key" and self.room == self.box:
            self.where["key"], self.where[self.goal[0]], self.holds = "lock", self.room, ""
        elif verb == "put" and self.holds and f"put({what})" in self._places:
            return None
        else:
            return " That did not work."
        return ""

    def _ways(self, targets: set[str]) -> tuple[str, ...]:
        """The first moves towards the nearest of some rooms through visited ones, in alphabetical order."""
        reached, at = {self.room}, {door: {door} for door in sorted(self.doors[self.room])}  # by first move
        while not (ways := [first for first, rooms in at.items() if rooms & targets]):
            reached |= set().union(*at.values())
            at = {
                first: {door for room in rooms & self.visited for door in self.doors[room]} - reached
                for first, rooms in at.items()
            }
        return tuple(f"go({first})" for first in ways)

    def _connect(self, one: str, other: str) -> None:
        self.doors[one].append(other)
        self.doors[other].append(one)


def house(variant: str, seed: int) -> Iterator[Problem]:
    """Tasks without end. variant: empty or "test", or "train"; they share no house for seeds below 4000.

    Raises DatasetError for another variant.
    """
    if variant not in _FIRST:
        raise DatasetError(f"the house has no {variant!r}.", where="data", remedy="Use house, or house:train.")
    number = _FIRST[variant] + 100_000 * seed
    while True:
        yield Problem.ask(id=f"{NAME}-{number}", text=House(number).task_text(), tags={TASK: str(number)})
        number += 1


def is_house(data: str) -> bool:
    """Whether a data set's name is that of the house."""
    return data.partition(":")[0] == NAME


house.default_count = 300  # type: ignore[attr-defined]
