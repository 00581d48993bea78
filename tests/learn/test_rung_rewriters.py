"""TRIM-POMDP with second chances: what a survey says about each rung, and what a plan makes of it."""

from decimal import Decimal

import numpy as np
import pytest

from steproute.core.errors import ConfigError, DatasetError
from steproute.core.usage import FREE, Price
from steproute.learn.plan import plan
from steproute.learn.rung_rewriters import surveyed_rewriters
from steproute.learn.survey import Attempt, Place
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp

PRICES = {
    "weak": Price(input=Decimal(1), cache_read=Decimal("0.1"), output=Decimal(2)),
    "strong": Price(input=Decimal(10), output=Decimal(40)),
}
JUDGE = Price(input=Decimal(1), cache_read=Decimal("0.1"), output=Decimal(0))


def place(weak: bool, *resampled: bool, strong: bool = True) -> Place:
    def attempt(correct: bool) -> Attempt:
        return Attempt(score=0.9 if correct else 0.1, correct=float(correct), read=100, written=10)

    rungs = {"weak": [attempt(weak)], "resample": [attempt(each) for each in resampled], "strong": [attempt(strong)]}
    return Place(attempts=rungs)


def test_a_rung_is_counted_apart_after_correct_and_incorrect_drafts() -> None:
    places = [
        place(True, True, False),
        place(True, False, False),
        place(False, False, True),
        place(False, False, False),
    ]
    places += [place(False, False, False)]
    rewriters, tokens = surveyed_rewriters(places, ("resample", "strong"), PRICES, JUDGE)
    cost = (100 * 0.1 + 20 * 2) + 2 * (100 * 0.1 + 10)
    assert [each.name for each in rewriters] == ["resample", "strong"]
    assert [each.accuracy for each in rewriters] == [0.5, 1.0]
    assert [each.if_incorrect for each in rewriters] == pytest.approx([1 / 3, 1.0])
    assert [each.relative_cost for each in rewriters] == pytest.approx([cost / (100 * 10 + 10 * 40), 1.0])
    assert tokens == 10


def test_a_survey_without_an_error_or_without_prices_is_refused() -> None:
    with pytest.raises(DatasetError, match="all correct or all incorrect"):
        surveyed_rewriters([place(True, True)], ("strong",), PRICES, JUDGE)
    with pytest.raises(ConfigError, match="no rung costs anything"):
        surveyed_rewriters([place(True, True), place(False, True)], ("strong",), {"weak": FREE, "strong": FREE}, FREE)


def test_a_rewriter_that_mends_nothing_is_never_planned_for_an_incorrect_step() -> None:
    """Two observations that tell correct steps from incorrect ones for sure."""
    observations = np.zeros((3, 1, 2))
    observations[:, 0] = [[0, 1], [1, 0], [1, 0]]

    def best(mends: float) -> int:
        rewriters = (Rewriter("resample", 1.0, 0.1, mends), Rewriter("strong", 1.0))
        model = StepPomdp(
            weak_accuracy=0.8, rewriters=rewriters, hazard=np.array([0.0, 0.3, 1.0]), observations=observations
        )
        found = plan(model, [0.1], points=41)
        return int(found.best_action(0, None, np.array([0.0, 0.0, 1.0]), 10))

    assert (best(0.0), best(1.0)) == (2, 1)
    assert best(0.9999) == 1
