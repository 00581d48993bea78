"""Tables of rungs fitted by replay: problems whose best table is known, and what a replay bills."""

from decimal import Decimal

import numpy as np
import pytest

from steproute.core.usage import FREE, Price
from steproute.learn.rung_fit import fit_tables, front
from steproute.learn.rung_replay import Replay
from steproute.learn.survey import Attempt, Place
from steproute.policies.trim.rung_table import RungTable

LADDER = ("weak", "resample", "mid", "strong")
PRICES = {
    name: Price(input=Decimal(0), output=Decimal(dollars))
    for name, dollars in (("weak", 1), ("mid", 5), ("strong", 50))
}
EDGES = np.array([0.5, 0.8])
LOW, MIDDLE, HIGH = 0.1, 0.7, 0.9


def attempt(score: float, correct: bool, read: int = 100, written: int = 10) -> Attempt:
    return Attempt(score=score, correct=float(correct), read=read, written=written)


def place(weak: Attempt, resample: Attempt, mid: Attempt, strong: Attempt | None = None) -> Place:
    rungs = {"weak": [weak], "resample": [resample], "mid": [mid], "strong": [strong or attempt(HIGH, True)]}
    return Place(attempts=rungs)


GOOD = place(attempt(HIGH, True), attempt(HIGH, True), attempt(HIGH, True))


def replayed(*places: Place) -> Replay:
    return Replay([[GOOD, each, GOOD] for each in places], LADDER, PRICES, FREE, width=1)


def fitted(*places: Place) -> tuple[RungTable, float]:
    """The table for an answer that is worth more than any bill, and its share of correct answers."""
    replay = replayed(*places)
    (table,) = fit_tables(replay, [1.0], EDGES)
    return table, float(replay.run([table]).correct.mean())


def writers(table: RungTable, rung: int) -> list[int]:
    """The rung that writes next after low, middle and high scores."""
    return table.actions_at(np.zeros(3, int), rung, np.array([LOW, MIDDLE, HIGH])).tolist()


def test_a_rung_that_mends_is_asked_before_a_dearer_one() -> None:
    table, correct = fitted(place(attempt(LOW, False), attempt(HIGH, True), attempt(HIGH, True)))
    assert (writers(table, 0)[0], correct) == (1, 1.0)


def test_a_rung_that_never_mends_is_left_out() -> None:
    table, correct = fitted(place(attempt(LOW, False), attempt(LOW, False), attempt(HIGH, True)))
    assert (writers(table, 0)[0] % 4, correct) == (2, 1.0)


def test_each_rung_has_the_threshold_that_its_own_scores_need() -> None:
    """Middle scores mean correct if the weak model writes, and incorrect if mid does."""
    table, correct = fitted(
        place(attempt(MIDDLE, True), attempt(LOW, False), attempt(LOW, False)),
        place(attempt(LOW, False), attempt(LOW, False), attempt(MIDDLE, False)),
        place(attempt(LOW, False), attempt(LOW, False), attempt(HIGH, True)),
        place(attempt(LOW, False), attempt(LOW, False), attempt(HIGH, True)),
        place(attempt(LOW, False), attempt(LOW, False), attempt(HIGH, True)),
    )
    assert correct == 1.0
    assert writers(table, 0) == [2, 0, 0]
    assert writers(table, 2)[1:] == [3, 2] or writers(table, 2)[1:] == [7, 2]


def test_nothing_is_rewritten_for_answers_that_are_worth_less() -> None:
    replay = replayed(place(attempt(LOW, False), attempt(HIGH, True), attempt(HIGH, True)))
    (table,) = fit_tables(replay, [1e-9], EDGES)
    assert writers(table, 0) == [0, 0, 0]


def test_tables_for_rising_values_spend_more_and_the_front_keeps_those_that_pay() -> None:
    replay = replayed(
        place(attempt(LOW, False), attempt(HIGH, True), attempt(HIGH, True)),
        place(attempt(LOW, False), attempt(LOW, False), attempt(LOW, False)),
    )
    tables = fit_tables(replay, [1e-9, 3e-5, 1.0], EDGES)
    result = replay.run(tables)
    assert result.correct.mean(axis=1).tolist() == [0.0, 0.5, 1.0]
    assert (np.diff(result.dollars.mean(axis=1)) > 0).all()
    assert front(replay, [tables[2], tables[0], tables[1], tables[1]]) == tables


def test_a_replay_bills_reading_from_the_cache_drafts_and_the_judge() -> None:
    """Two steps of 10 tokens from prompts of 100 and 110: weak writes the first, strong the second one again."""
    price = Price(input=Decimal(10), cache_read=Decimal(1), output=Decimal(100))
    prices = {"weak": price, "strong": Price(input=Decimal(20), cache_read=Decimal(2), output=Decimal(200))}
    judge = Price(input=Decimal(5), cache_read=Decimal("0.5"), output=Decimal(0))
    good, bad = attempt(HIGH, True), attempt(LOW, False, read=110)
    strong = attempt(HIGH, True, read=110)
    places = [
        Place(attempts={"weak": [good], "strong": [good]}),
        Place(attempts={"weak": [bad], "strong": [strong]}),
    ]
    replay = Replay([places], ("weak", "strong"), prices, judge)
    table = RungTable(("weak", "strong"), EDGES, np.tile(np.array([[1, 0, 0]]), (2, 1, 1)))
    weak = (100 * 10 + 10 * 100) + (1 * 10 + 109 * 1 + 10 * 100)
    judged = (110 * 5) + (20 * 5 + 100 * 0.5)
    strong_usd = 110 * 20 + 10 * 200
    result = replay.run([table])
    assert result.correct.tolist() == [[1.0]]
    assert result.dollars[0, 0] == pytest.approx(1e-6 * (weak + judged + strong_usd))


def test_whoever_takes_over_writes_all_that_is_left_in_one_call() -> None:
    places = [GOOD, place(attempt(LOW, False), attempt(LOW, False), attempt(HIGH, True)), GOOD]
    replay = Replay([places], LADDER, PRICES, FREE, width=1)
    actions = np.tile(np.arange(3)[:, None], (4, 1, 3))
    actions[:, 0, 0] = 4 + 2
    result = replay.run([RungTable(LADDER, EDGES, actions, width=1)])
    assert result.correct.tolist() == [[1.0]]
    assert result.dollars[0, 0] == pytest.approx(1e-6 * (2 * 10 * 1 + 2 * 10 * 5))


def test_a_lost_solution_costs_no_more_rewrites() -> None:
    bad = place(attempt(LOW, False), attempt(LOW, False), attempt(LOW, False))
    actions = np.tile(np.arange(3)[:, None], (4, 1, 3))
    actions[3, 0, 0] = actions[2, 0, 0] = 3
    replay = Replay([[bad, bad]], LADDER, PRICES, FREE, width=1)
    kept = replay.run([RungTable(LADDER, EDGES, actions, lost=0.5, width=1)])
    assert kept.dollars[0, 0] == pytest.approx(1e-6 * 20)
