import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.evaluation.auc import (
    can_choose,
    roc_auc,
    roc_auc_interval,
    within_prefix_auc,
    within_prefix_auc_interval,
)
from steproute.evaluation.metrics import UndefinedMetric


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_counts_pairs_with_ties_as_half(items: list[tuple[int, bool]]) -> None:
    positives = [score for score, label in items if label]
    negatives = [score for score, label in items if not label]
    assume(positives and negatives)
    won = sum((p > n) + (p == n) / 2 for p, n in itertools.product(positives, negatives))
    scores, labels = zip(*items, strict=True)
    assert roc_auc(scores, labels) == pytest.approx(won / (len(positives) * len(negatives)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_an_auc_interval_holds_the_auc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(600)
    labels = rng.random(600) < scores
    interval = roc_auc_interval(scores, labels, np.arange(600) // 6, rng, resamples=200)
    assert interval.low < roc_auc(scores, labels) < interval.high
    assert interval.high - interval.low < 0.12


def test_drawing_groups_widens_the_interval_when_a_group_repeats_one_item() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(100)
    labels = rng.random(100) < scores
    copies = np.repeat(scores, 10), np.repeat(labels, 10)
    grouped = roc_auc_interval(*copies, np.repeat(np.arange(100), 10), np.random.default_rng(1))
    alone = roc_auc_interval(*copies, np.arange(1000), np.random.default_rng(1))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_scores_and_labels_that_cannot_be_ranked_are_refused() -> None:
    with pytest.raises(UndefinedMetric, match="one class"):
        roc_auc([0.1, 0.2], [True, True])
    with pytest.raises(ConfigError, match="NaN"):
        roc_auc([0.1, math.nan], [True, False])
    with pytest.raises(ConfigError, match="shape"):
        roc_auc([0.1], [True, False])
    with pytest.raises(ConfigError, match="groups"):
        roc_auc_interval([0.1, 0.2], [True, False], [1], np.random.default_rng(0))


Item = tuple[float, bool, int]
ITEMS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0, math.inf, -math.inf]), st.booleans(), st.integers(0, 4)),
    min_size=1,
    max_size=40,
)


def by_hand(items: list[Item]) -> tuple[float, int]:
    """Pairs won by the correct step, and pairs, counted one by one."""
    pairs = [
        (one[0], other[0])
        for one, other in itertools.product(items, items)
        if one[1] and not other[1] and one[2] == other[2]
    ]
    return sum((p > n) + (p == n) / 2 for p, n in pairs), len(pairs)


@settings(max_examples=300)
@given(ITEMS)
def test_within_prefix_auc_counts_pairs_of_one_prefix_with_ties_as_half(items: list[Item]) -> None:
    won, pairs = by_hand(items)
    assume(pairs)
    scores, labels, prefixes = zip(*items, strict=True)
    assert within_prefix_auc(scores, labels, prefixes) == pytest.approx(won / pairs)


@given(ITEMS)
def test_without_a_choice_there_is_no_within_prefix_auc(items: list[Item]) -> None:
    assume(not by_hand(items)[1])
    scores, labels, prefixes = zip(*items, strict=True)
    with pytest.raises(UndefinedMetric, match="no prefix holds both"):
        within_prefix_auc(scores, labels, prefixes)


def test_a_scorer_that_knows_places_alone_has_a_high_auc_and_chance_within_prefixes() -> None:
    """The fault that the figure is for: steps of a hard prefix all score low, whether they are correct or not."""
    rng = np.random.default_rng(0)
    prefixes = np.repeat(np.arange(400), 6)
    hard = rng.random(400)[prefixes]
    labels = rng.random(2400) > hard
    assert roc_auc(1 - hard, labels) > 0.8
    assert within_prefix_auc(1 - hard, labels, prefixes) == 0.5
    groups = prefixes // 2
    interval = within_prefix_auc_interval(rng.random(2400), labels, prefixes, groups, np.random.default_rng(1))
    assert interval.low < 0.5 < interval.high
    assert within_prefix_auc(labels + rng.random(2400), labels, prefixes) == 1.0


@pytest.mark.parametrize("seed", range(8))
def test_the_within_prefix_interval_draws_whole_groups(seed: int) -> None:
    """Steps that are copied within their group say nothing new, so the interval stays as wide as it was."""
    rng = np.random.default_rng(seed)
    prefixes = np.repeat(np.arange(60), 5)
    labels = rng.random(300) < 0.5
    scores = rng.random(300) + 0.3 * labels
    groups = prefixes // 3
    once = within_prefix_auc_interval(scores, labels, prefixes, groups, np.random.default_rng(1))
    assert once.low < within_prefix_auc(scores, labels, prefixes) < once.high
    four = [np.tile(each, 4) for each in (scores, labels, prefixes, groups)]
    again = within_prefix_auc_interval(four[0], four[1], four[2], four[3], np.random.default_rng(1))
    assert (again.low, again.high) == (pytest.approx(once.low), pytest.approx(once.high))
    finer = within_prefix_auc_interval(scores, labels, prefixes, prefixes, np.random.default_rng(1))
    assert finer != once


def test_an_interval_that_many_resamples_cannot_give_has_no_ends() -> None:
    """One problem of ten offers a choice, so a third of the resamples holds no pair."""
    labels = np.array([True, False, *[True] * 18])
    groups = np.repeat(np.arange(10), 2)
    rng = np.random.default_rng(0)
    interval = within_prefix_auc_interval(np.arange(20.0), labels, groups, groups, rng)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_candidates_that_cannot_be_ranked_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="NaN"):
        within_prefix_auc([0.1, math.nan], [True, False], [0, 0])
    with pytest.raises(ConfigError, match="prefixes"):
        within_prefix_auc([0.1, 0.2], [True, False], [0])
    with pytest.raises(ConfigError, match="groups"):
        within_prefix_auc_interval([0.1, 0.2], [True, False], [0, 0], [0], rng)
    with pytest.raises(ConfigError, match="two groups"):
        within_prefix_auc_interval([0.1, 0.2], [True, False], [0, 0], [0, 1], rng)


def test_a_low_figure_says_that_the_scorer_cannot_choose() -> None:
    assert "cannot choose among candidates" in can_choose(0.56)
    assert "can choose" in can_choose(0.6)
