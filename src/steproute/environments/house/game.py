"""The house: fetch a thing from a locked box, and put it where it belongs. Putting it anywhere else is final."""

import random
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Final

from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.environments.replaying import TASK, action_of

NAME: Final = "house"
MOST_ACTIONS: Final = 24
_ROOMS: Final = ("hall", "kitchen", "study", "bedroom", "cellar", "garden")
_THINGS: Final = ("lamp", "vase", "book", "clock", "radio", "violin")
_PLACES: Final = tuple((f"{room} table", f"{room} shelf") for room in _ROOMS)
_ACTION: Final = re.compile(r"(go|take|unlock|put|drop)\(([a-z ]*)\)")


class House:
    """A game. task: a seed. `goal` is the thing to fetch and the place where it belongs."""

    def __init__(self, task: str) -> None:
        draw = random.Random(f"house/{task}")
        self.doors: dict[str, list[str]] = {room: [] for room in _ROOMS}
        for number in range(1, len(_ROOMS)):
            self._connect(_ROOMS[number], draw.choice(_ROOMS[:number]))
        self.room, self.holds, self.taken = "hall", "", 0
        self.box, key = draw.sample(_ROOMS[1:], 2)
        thing = draw.choice(_THINGS)
        self.where = {other: draw.choice(_ROOMS) for other in _THINGS if other != thing} | {"key": key, thing: "box"}
        self.goal = (thing, draw.choice(_PLACES[draw.randrange(len(_ROOMS))]))

    def act(self, text: str) -> Response:
        """See Game."""
        self.taken += 1
        match = _ACTION.fullmatch(action_of(text).lower())
        said = self._done(*match.groups()) if match else "Use go, take, unlock, put or drop, such as go(hall)."
        if said == "":
            succeeded = match is not None and (self.holds, match[2]) == self.goal
            return Response(text="It stays there.", ends=True, reward=float(succeeded))
        if self.taken >= MOST_ACTIONS:
            return Response(text="Time is up.", ends=True, reward=0.0)
        return Response(text=f"{said} {self.view()}")

    def view(self) -> str:
        """What the agent sees."""
        things = sorted(thing for thing, place in self.where.items() if place == self.room)
        box = ["a locked box"] if self.box == self.room and "box" in self.where.values() else []
        seen = ", ".join(box + [f"the {thing}" for thing in things]) or "nothing to take"
        return f"You are in the {self.room}: {seen}. Doors: {', '.join(sorted(self.doors[self.room]))}."

    def best_action(self) -> str:
        """An action on the shortest way to the goal."""
        thing, place = self.goal
        closed = self.where[thing] == "box"
        wanted = "key" if closed else thing
        if self.holds not in ("", wanted):
            return "drop()"
        if not self.holds:
            target, action = self.where[wanted], f"take({wanted})"
        else:
            target, action = (self.box, "unlock(box)") if closed else (place.split()[0], f"put({place})")
        return action if target == self.room else f"go({self._way(target)})"

    def remaining(self) -> int:
        """Actions from here to the goal; MOST_ACTIONS more if they are no longer allowed."""
        game, actions, ends = deepcopy(self), 0, False
        while not ends:
            ends, actions = game.act(game.best_action()).ends, actions + 1
        return actions

    def _done(self, verb: str, what: str) -> str:
        """What is to be seen of an action; empty if it is final."""
        if verb == "go" and what in self.doors[self.room]:
            self.room = what
        elif verb == "take" and not self.holds and self.where.get(what) == self.room:
            self.holds, self.where[what] = what, "hand"
        elif verb == "drop" and self.holds:
            self.where[self.holds], self.holds = self.room, ""
        elif verb == "unlock" and self.holds == "key" and self.room == self.box:
            self.where["key"], self.where[self.goal[0]], self.holds = "lock", self.room, ""
        elif verb == "put" and self.holds and what in (f"{self.room} table", f"{self.room} shelf"):
            return ""
        else:
            return "That does not work."
        return "Done."

    def _way(self, target: str) -> str:
        """The door that leads to a room."""
        before, queue = {self.room: self.room}, [self.room]
        for room in queue:
            for following in self.doors[room]:
                if following not in before:
                    before[following] = room
                    queue.append(following)
        while before[target] != self.room:
            target = before[target]
        return target

    def _connect(self, one: str, other: str) -> None:
        self.doors[one].append(other)
        self.doors[other].append(one)


def house(variant: str, seed: int) -> Iterator[Problem]:
    """Tasks without end, from the number 100 000 · seed."""
    number = 100_000 * seed
    while True:
        game = House(str(number))
        yield Problem.ask(
            id=f"{NAME}-{number}",
            text=f"House {number}. Find the {game.goal[0]} and put it on the {game.goal[1]}. It is in a locked box; a "
            f"key is in the house. You have {MOST_ACTIONS} actions and one free hand, and what you put stays there. "
            f"Actions: go(ROOM), take(THING), unlock(box), put(PLACE), drop().\n{game.view()}",
            tags={TASK: str(number)},
        )
        number += 1


house.default_count = 300  # type: ignore[attr-defined]
