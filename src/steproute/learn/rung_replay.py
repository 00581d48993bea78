"""Replay of a survey: what a table of rungs would have solved and spent, without a call of any model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.core.usage import Price
from steproute.learn.survey import Attempt, Place
from steproute.policies.trim.rung_table import RungTable
from steproute.strategies.second_chances import RESAMPLE

_WEAK: Final = "weak"
_PER_MILLION: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """P(correct) and dollars of each table and problem, both (table, problem)."""

    correct: F64
    dollars: F64


@dataclass(frozen=True, slots=True)
class _Rate:
    """Dollars per token that is read, read from the cache, and written."""

    read: float
    cached: float
    written: float

    @classmethod
    def of(cls, price: Price) -> "_Rate":
        cached = price.input if price.cache_read is None else price.cache_read
        return cls(*(float(each) * _PER_MILLION for each in (price.input, cached, price.output)))


class Replay:
    """The places of a survey as arrays, on which a table is replayed.

    A table decides at each place about the surveyed drafts. An answer is correct if every accepted step is; after an
    incorrect step the solution goes on as if it were correct, which is what it costs. Whoever has read a prefix in this
    solution reads it from the cache. prices: of each rung's model, and of the judge as `judge`. width: how many of the
    surveyed drafts `resample` draws. Raises DatasetError without a place.
    """

    def __init__(
        self,
        places: Sequence[Sequence[Place]],
        ladder: Sequence[str],
        prices: Mapping[str, Price],
        judge: Price,
        width: int = 4,
    ) -> None:
        kept = [each for each in places if each]
        if not kept:
            raise DatasetError("no problem of the survey has a step.", where="problems", remedy="Use more problems.")
        self.ladder, self.problems, self.width = tuple(ladder), len(kept), width
        self._steps = np.array([len(each) for each in kept])
        self._read = _grid(kept, lambda place: float(place.attempts[_WEAK][0].read))
        self._score, self._correct, self._written, self._judged = (
            np.stack([_grid(kept, partial(value, rung=rung, width=width)) for rung in ladder])
            for value in (_score, _correct, _written, _judged)
        )
        self._is_role = np.array([rung not in (_WEAK, RESAMPLE) for rung in ladder])
        self._rates = [_Rate.of(prices[_WEAK if rung == RESAMPLE else rung]) for rung in ladder]
        self._judge = _Rate.of(judge)

    def run(self, tables: Sequence[RungTable]) -> Result:
        """Decide every place of every problem by each of the tables, which share their edges."""
        state = _State(len(tables), self.problems, len(self.ladder))
        lost = np.array([table.lost for table in tables])[:, None]
        taken, asked = self._climbed(np.stack([table.actions for table in tables]), tables[0].edges)
        table, problem = np.ogrid[: len(tables), : self.problems]
        for step in range(int(self._steps.max())):
            under_way = (self._steps > step) & np.ones_like(state.lost)
            under_way &= ~state.ended
            climbs = under_way & ~state.lost
            for level in range(len(self.ladder)):
                asks = climbs & asked[level][table, state.phase, problem, step]
                self._pay(state, level, step, under_way if level == 0 else asks)
            rung = np.where(climbs, taken[table, state.phase, problem, step], 0)
            for level in np.flatnonzero(self._is_role).tolist():
                self._take_over(state, level, step, climbs & (rung == len(self.ladder) + level))
            under_way &= ~state.ended
            rung = np.where(under_way, rung, 0)
            correct, score = (grid[rung, problem, step] for grid in (self._correct, self._score))
            state.correct *= np.where(under_way, correct, 1.0)
            state.lost |= under_way & (score < lost)
            state.phase = np.maximum(state.phase, np.where(self._is_role[rung], rung, 0))
        return Result(correct=state.correct, dollars=state.dollars)

    def _climbed(self, actions: NDArray[np.intp], edges: F64) -> tuple[NDArray[np.int8], list[NDArray[np.bool_]]]:
        """The rung that each table ends on, and whether it asks each rung, (table, phase, problem, step)."""
        shape = (*actions.shape[:2], *self._read.shape)
        taken = np.zeros(shape, np.int8)
        asked = [np.zeros(shape, bool) for _ in self.ladder]
        for level in range(len(self.ladder) - 1):
            here = taken == level
            bins = np.searchsorted(edges, self._score[level], side="right")
            taken = np.where(here, actions[:, :, level, bins].astype(np.int8), taken)
            for higher in range(level + 1, len(self.ladder)):
                asked[higher] |= here & (taken == higher)
        return taken, asked

    def _take_over(self, state: "_State", level: int, step: int, who: NDArray[np.bool_]) -> None:
        """The role writes the rest in one call."""
        if not who.any():
            return
        rate, read = self._rates[level], self._read[:, step]
        cached = np.minimum(state.cached[level], read - 1)
        written = self._written[level][:, step:].sum(axis=1)
        paid = rate.read * (read - cached) + rate.cached * cached + rate.written * written
        state.dollars += np.where(who, paid, 0.0)
        left = np.arange(self._read.shape[1]) < self._steps[:, None]
        state.correct *= np.where(who, np.where(left, self._correct[level], 1.0)[:, step:].prod(axis=1), 1.0)
        state.ended |= who

    def _pay(self, state: "_State", level: int, step: int, who: NDArray[np.bool_]) -> None:
        """Dollars of the rung's drafts, and of the judge unless the strong model wrote."""
        if not who.any():
            return
        rate, read, written = self._rates[level], self._read[:, step], self._written[level][:, step]
        reader = self.ladder.index(_WEAK) if self.ladder[level] == RESAMPLE else level
        cached = np.minimum(state.cached[reader], read - 1)
        paid = rate.read * (read - cached) + rate.cached * cached + rate.written * written
        state.cached[reader] = np.where(who, read - 1 + (written if level == reader else 0), state.cached[reader])
        if level < len(self.ladder) - 1:
            known = np.minimum(state.cached[-1], read)
            paid = paid + self._judge.read * (read - known + self._judged[level][:, step]) + self._judge.cached * known
            state.cached[-1] = np.where(who, read, state.cached[-1])
        state.dollars += np.where(who, paid, 0.0)


class _State:
    """The problems on their way: each (table, problem), and what each reader and the judge have in the cache."""

    def __init__(self, tables: int, problems: int, rungs: int) -> None:
        shape = (tables, problems)
        self.correct, self.dollars = np.ones(shape), np.zeros(shape)
        self.lost, self.ended, self.phase = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, int)
        self.cached = np.zeros((rungs + 1, *shape))


def _best(place: Place, rung: str, width: int) -> Attempt:
    return max(_drafts(place, rung, width), key=lambda each: each.score)


def _score(place: Place, rung: str, width: int) -> float:
    return _best(place, rung, width).score


def _correct(place: Place, rung: str, width: int) -> float:
    return _best(place, rung, width).correct


def _drafts(place: Place, rung: str, width: int) -> Sequence[Attempt]:
    drafts = place.attempts[rung]
    return drafts[:width] if rung == RESAMPLE else drafts


def _written(place: Place, rung: str, width: int) -> float:
    return float(sum(each.written for each in _drafts(place, rung, width)))


def _judged(place: Place, rung: str, width: int) -> float:
    """Tokens that the judge has not read before; drafts of one score are one text."""
    return float(sum({each.score: each.written for each in _drafts(place, rung, width)}.values()))


def _grid(places: Sequence[Sequence[Place]], value: Callable[[Place], float]) -> F64:
    """(problem, step), zeros after a problem's last place."""
    grid = np.zeros((len(places), max(map(len, places))))
    for row, each in enumerate(places):
        grid[row, : len(each)] = [value(place) for place in each]
    return grid
