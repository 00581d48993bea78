"""Who writes which sub-task: the best allocation when each change of model makes the new one read everything again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

from steproute.core.arrays import F64, I64
from steproute.core.solution import Step
from steproute.core.usage import Price

_NEGLIGIBLE: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A problem in sub-tasks, and the steps so far: one for each sub-task that is done.

    prices: of every role. closes: whether the last sub-tasks of one role are one call.
    """

    problem: str
    subtasks: tuple[str, ...]
    steps: tuple[Step, ...]
    prices: Mapping[str, Price]
    closes: bool = True


class Allocator(Protocol):
    """Names a role for each sub-task that is left; pure, no I/O."""

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles that it can name."""
        ...

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """One role for each sub-task that is left, of which there is at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    """One role writes all sub-tasks."""

    role: str

    @property
    def roles(self) -> tuple[str, ...]:
        """That one."""
        return (self.role,)

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """It again and again."""
        return (self.role,) * (len(outline.subtasks) - len(outline.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What the sub-tasks that are left cost by each role, in one unit of money.

    writing: of the sub-task itself; keeping, switching: of reading all before it, for the role that wrote the one
    before and for another; each (subtask, role). before: who wrote the newest step, -1 for nobody or another role.
    closes: whether the last sub-tasks of one role are one call, which reads once.
    """

    writing: F64
    keeping: F64
    switching: F64
    before: int = -1
    closes: bool = True

    def cost(self, roles: Sequence[int]) -> float:
        """Of an allocation; roles: (subtask,)."""
        changes = [second != first for first, second in pairwise((self.before, *roles))]
        run = max((place for place, changed in enumerate(changes) if changed), default=0)
        end = run if self.closes else len(roles)
        read = sum(
            (self.switching if changes[place] else self.keeping)[place, role]
            for place, role in enumerate(roles)
            if place <= end
        )
        return float(read + sum(self.writing[place, role] for place, role in enumerate(roles)))


def best_allocation(gains: F64, tariff: Tariff, price: float) -> tuple[int, ...]:
    """The allocation of greatest Σ gains − price · cost, exactly; gains: (subtask, role).

    A Viterbi over sub-tasks and roles. The call that closes the solution is tried at each sub-task, after another role.
    """
    values = gains - price * tariff.writing
    last = len(values) - 1
    rest = np.cumsum(values[::-1], axis=0)[::-1]  # of the role writing this sub-task and all later ones
    best, arrived = np.zeros(0), np.zeros((len(values), gains.shape[1]), np.int64)
    closing, closed = -np.inf, (0, 0)
    for place in range(len(values)):
        reading = _reading(tariff, place, price)  # (before, role)
        reached = (best[:, None] if place else 0.0) - reading
        if tariff.closes or place == last:
            final = reached + rest[place]
            if place and tariff.closes:
                final = np.where(np.eye(len(final), dtype=bool), -np.inf, final)
            ends = final.max(axis=0)
            if ends.max() > closing:
                closing, closed = float(ends.max()), (place, int(ends.argmax()))
                leading = _path(arrived, place - 1, int(final[:, closed[1]].argmax())) if place else ()
        arrived[place], best = reached.argmax(axis=0), reached.max(axis=0) + values[place]
    return (*leading, *(closed[1],) * (len(values) - closed[0]))


def frontier(gains: F64, tariff: Tariff) -> list[tuple[int, ...]]:
    """The best allocations over all prices, from the cheapest to the one of greatest Σ gains."""
    cheapest = best_allocation(np.zeros_like(gains), tariff, 1.0)
    likeliest = best_allocation(gains, tariff, _NEGLIGIBLE / max(tariff.cost(cheapest), _NEGLIGIBLE))
    return list(dict.fromkeys((*_between(gains, tariff, cheapest, likeliest), likeliest)))


def chance_of(gains: F64, roles: Sequence[int]) -> float:
    """exp Σ gains of an allocation: that all its steps are correct, if gains are log-probabilities."""
    return float(np.exp(gains[np.arange(len(roles)), roles].sum()))


def most_valuable(gains: F64, tariff: Tariff, worth: float, price: float) -> tuple[int, ...]:
    """The allocation of greatest worth · exp Σ gains − price · cost, exactly.

    The exponential is convex, so the maximum lies at a corner of what is reachable in Σ gains and cost, and each corner
    is the best allocation at some price of Σ gains.
    """
    return max(frontier(gains, tariff), key=lambda roles: worth * chance_of(gains, roles) - price * tariff.cost(roles))


def _between(gains: F64, tariff: Tariff, low: tuple[int, ...], high: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The corners from `low` up to `high`, without the latter."""
    rise, run = _sum(gains, high) - _sum(gains, low), tariff.cost(high) - tariff.cost(low)
    if run <= 0 or rise <= 0:
        return [low]
    slope = rise / run
    middle = best_allocation(gains, tariff, slope)
    above = _sum(gains, middle) - slope * tariff.cost(middle) - (_sum(gains, low) - slope * tariff.cost(low))
    if above <= _NEGLIGIBLE:
        return [low]
    return [*_between(gains, tariff, low, middle), *_between(gains, tariff, middle, high)]


def _sum(gains: F64, roles: Sequence[int]) -> float:
    return float(gains[np.arange(len(roles)), roles].sum())


def _reading(tariff: Tariff, place: int, price: float) -> F64:
    """Price of reading before a sub-task, (before, role); of the first one, (1, role)."""
    keeping, switching = price * tariff.keeping[place], price * tariff.switching[place]
    same = np.arange(len(keeping)) == (np.arange(len(keeping)) if place else np.array([tariff.before]))[:, None]
    read: F64 = np.where(same, keeping, switching)
    return read


def _path(arrived: I64, place: int, role: int) -> tuple[int, ...]:
    """The roles up to a sub-task that `role` writes."""
    roles = [role]
    for back in range(place, 0, -1):
        roles.append(int(arrived[back, roles[-1]]))
    return tuple(reversed(roles))
