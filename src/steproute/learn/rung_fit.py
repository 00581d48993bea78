"""Fit tables of rungs to a survey, one for each value of a correct answer, by replay."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.learn.rung_replay import Replay
from steproute.policies.trim.rung_table import RungTable
from steproute.strategies.second_chances import RESAMPLE

EDGES: Final[F64] = 1 / (1 + np.exp(-np.array([-3.0, 0.0, 0.75, 1.25, 1.75, 3.0])))
"""Thresholds of scores, by their log-odds."""
LEAST_GAIN: Final = 0.002
SHARES: Final = np.geomspace(0.05, 20, 12)
"""What a correct answer may be worth, in bills of the strong model writing every step again."""

_LOST: Final = (0.0, 0.05, 0.5)
_BATCH: Final = 64


def values_for(replay: Replay) -> list[float]:
    """Dollars that a correct answer may be worth: SHARES of what the dearest rung spends."""
    dearest = replay.run([_climb(replay, EDGES, (len(replay.ladder) - 1,), (len(EDGES),))])
    return [float(share * dearest.dollars.mean()) for share in SHARES]


def fit_tables(replay: Replay, values: Sequence[float], edges: F64 = EDGES) -> list[RungTable]:
    """For each value, dollars that a correct answer is worth, the table with the highest worth less dollars.

    All thresholds are fitted together. Of the tables that climb some of the rungs in their order, each with a threshold
    of its own, the best one is improved by moves: a move gives the drafts of one rung in a range of scores to another
    rung, whatever the highest role so far or for one of them. The best move is made as long as it earns at least
    LEAST_GAIN correct answers per problem. values: rising. Equal tables are there once.
    """
    starts, tables = list(_climbing(replay, edges)), list[RungTable]()
    results = _results(replay, starts)
    for value in values:
        best = int(_worths(results, value).argmax())
        found = [_improved(replay, start, value) for start in (starts[best], *tables[-1:])]
        table = found[int(_worths(_results(replay, found), value).argmax())]
        if not any(_equal(table, other) for other in tables):
            tables.append(table)
    return tables


def front(replay: Replay, tables: Sequence[RungTable]) -> list[RungTable]:
    """The tables that no other one beats in both correct answers and dollars, cheapest first."""
    correct, dollars = _results(replay, tables)
    kept: list[int] = []
    for index in np.lexsort((-correct, dollars)).tolist():
        if not kept or correct[index] > correct[kept[-1]]:
            kept.append(index)
    return [tables[index] for index in kept]


def _climbing(replay: Replay, edges: F64) -> Iterator[RungTable]:
    """Every table that climbs some rungs in their order, each with one threshold of the edges."""
    others = range(1, len(replay.ladder))
    for size in range(len(replay.ladder)):
        for chain in combinations(others, size):
            for cuts in product(range(1, len(edges) + 1), repeat=size):
                yield _climb(replay, edges, chain, cuts)


def _climb(replay: Replay, edges: F64, chain: Sequence[int], cuts: Sequence[int]) -> RungTable:
    """Drafts of a rung of the chain, the weak model's first, that are in its lowest `cuts` bins go to the next one."""
    rungs, bins = len(replay.ladder), len(edges) + 1
    actions = np.tile(np.arange(rungs - 1)[:, None], (rungs, 1, bins))
    for rung, target, cut in zip((0, *chain), chain, cuts, strict=False):
        actions[:, rung, :cut] = target
    return RungTable(replay.ladder, edges, actions, width=replay.width)


def _improved(replay: Replay, table: RungTable, value: float) -> RungTable:
    """The table after the best move, again and again."""
    (worth,) = _worths(_results(replay, [table]), value)
    while True:
        others = [replace(table, lost=lost) for lost in _LOST if lost != table.lost]
        others += filter(None, (_moved(table, move) for move in _moves(table.ladder, len(table.edges) + 1)))
        worths = _worths(_results(replay, others), value)
        best = int(worths.argmax())
        if worths[best] <= worth + LEAST_GAIN * value:
            return table
        table, worth = others[best], worths[best]


_Move = tuple[slice | int, int, slice, int]
"""The highest role so far, the draft's rung, the bins of its score, and the rung that writes next."""


def _moves(ladder: Sequence[str], bins: int) -> Iterator[_Move]:
    """Every move, those for all roles first."""
    rungs = len(ladder)
    takeovers = [rungs + index for index, name in enumerate(ladder) if name not in ("weak", RESAMPLE)]
    for phase in (slice(None), *range(rungs)):
        for width in range(bins, 0, -1):
            for first in range(bins - width + 1):
                for rung in range(rungs - 1):
                    for target in (*range(rung, rungs), *takeovers):
                        yield phase, rung, slice(first, first + width), target


def _moved(table: RungTable, move: _Move) -> RungTable | None:
    """The table after the move; None if it stays as it is."""
    phase, rung, bins, target = move
    if (table.actions[phase, rung, bins] == target).all():
        return None
    actions = table.actions.copy()
    actions[phase, rung, bins] = target
    return replace(table, actions=actions)


def _results(replay: Replay, tables: Sequence[RungTable]) -> F64:
    """Mean P(correct) and dollars of each table, (2, tables)."""
    parts = [replay.run(tables[first : first + _BATCH]) for first in range(0, len(tables), _BATCH)]
    means = [np.stack([part.correct.mean(axis=1), part.dollars.mean(axis=1)]) for part in parts]
    found: F64 = np.concatenate(means, axis=1)
    return found


def _worths(results: F64, value: float) -> F64:
    """(tables,)"""
    correct, dollars = results
    found: F64 = value * correct - dollars
    return found


def _equal(one: RungTable, other: RungTable) -> bool:
    return one.lost == other.lost and np.array_equal(one.actions, other.actions)
