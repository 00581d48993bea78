import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steproute.evaluation.bootstrap import Outcomes, curve_intervals, curve_of
from steproute.evaluation.metrics import UndefinedMetric, cpt
from steproute.evaluation.operating_points import SHARES, OperatingPoint, Spent, operating_points

Ends = tuple[float | None, float | None]


def world(seed: int, problems: int, knobs: int) -> tuple[Spent, Spent]:
    """Knobs in any order, some alike; dollars are strong tokens plus what each knob spends on everything else."""
    rng = np.random.default_rng(seed)
    hard = rng.random(problems)
    reach = rng.choice([0.3, 0.45, 0.6, 0.75, 0.9, 1.0], knobs)[:, None]
    tokens = np.round(rng.gamma(4.0, 20.0, problems)) * rng.choice([0, 0.2, 0.5, 0.9, 1.1], knobs)[:, None]
    right = hard < reach
    weak_right, strong_right = hard < 0.4, hard < 0.9
    strong_tokens = np.round(rng.gamma(4.0, 20.0, problems))

    def spent(per_token: float, overhead: float) -> Spent:
        return Spent(
            sweep=Outcomes(correct=right, cost=per_token * tokens + overhead * np.arange(1, knobs + 1)[:, None]),
            weak=Outcomes(correct=weak_right, cost=np.zeros(problems)),
            strong=Outcomes(correct=strong_right, cost=per_token * strong_tokens),
        )

    return spent(1.0, 0.0), spent(0.004, 0.01)


def found(tokens: Spent, usd: Spent, seed: int = 0) -> list[OperatingPoint]:
    return operating_points(tokens, usd, usd, np.random.default_rng(seed))


def finite(low: float, high: float) -> Ends:
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None


def dollars_by_hand(tokens: Spent, usd: Spent, share: float) -> float:
    """The first crossing, walked point by point from the weak anchor."""
    places = [(tokens.weak.cost.mean(), -tokens.weak.correct.mean(), usd.weak.cost.mean())]
    rows = zip(tokens.sweep.cost, tokens.sweep.correct, usd.sweep.cost, strict=True)
    places += [(cost.mean(), -right.mean(), dollars.mean()) for cost, right, dollars in rows]
    kept: dict[float, tuple[float, float]] = {}
    for cost, minus, dollars in sorted(places, key=lambda place: place[:2]):
        kept.setdefault(cost, (-minus, dollars))
    weak, strong = tokens.weak.correct.mean(), tokens.strong.correct.mean()
    level = weak + share * (strong - weak)
    before: tuple[float, float] | None = None
    for right, dollars in kept.values():
        if right >= level - 1e-12:
            if before is None:
                return float(dollars)
            way = min(1.0, (level - before[0]) / (right - before[0]))
            return float(before[1] + way * (dollars - before[1]))
        before = right, dollars
    return math.inf


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 120), st.integers(1, 9))
def test_strong_tokens_are_cpt_with_the_intervals_of_cpt(seed: int, problems: int, knobs: int) -> None:
    tokens, usd = world(seed, problems, knobs)
    run = tokens.sweep, tokens.weak, tokens.strong
    try:
        intervals = curve_intervals(*run, np.random.default_rng(seed))
        curve = curve_of(range(knobs), *run)
        values = [cpt(curve, share) for share in SHARES]
    except UndefinedMetric:
        assert found(tokens, usd, seed) == []
        return
    points = found(tokens, usd, seed)
    assert [point.strong_tokens for point in points] == [
        None if math.isinf(value) else pytest.approx(value) for value in values
    ]
    by_share = {point.gap_recovered: point for point in points}
    for share, interval in ((0.8, intervals.metrics["cpt80"]), (0.95, intervals.metrics["cpt95"])):
        assert by_share[share].strong_tokens_ci95 == pytest.approx(finite(interval.low, interval.high))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 120), st.integers(1, 9))
def test_dollars_are_those_of_the_same_mixture_of_two_knobs(seed: int, problems: int, knobs: int) -> None:
    tokens, usd = world(seed, problems, knobs)
    strong_usd = usd.strong.cost.mean()
    for point in found(tokens, usd):
        by_hand = dollars_by_hand(tokens, usd, point.gap_recovered) / strong_usd
        assert point.cost_usd == (None if math.isinf(by_hand) else pytest.approx(by_hand))
        assert (point.cost_usd is None) == (point.strong_tokens is None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(0.001, 100))
def test_dollars_in_proportion_to_tokens_have_the_shares_of_tokens(seed: int, knobs: int, price: float) -> None:
    tokens, _ = world(seed, 80, knobs)
    axes = (tokens.sweep, tokens.weak, tokens.strong)
    sweep, weak, strong = (Outcomes(correct=each.correct, cost=price * each.cost) for each in axes)
    points = found(tokens, Spent(sweep=sweep, weak=weak, strong=strong))
    assume(points)
    for point in points:
        assert point.cost_usd == (None if point.strong_tokens is None else pytest.approx(point.strong_tokens))
        assert point.cost_usd_ci95 == pytest.approx(point.strong_tokens_ci95)


def test_the_accuracy_is_the_share_of_the_gap() -> None:
    tokens, usd = world(3, 100, 6)
    weak, strong = tokens.weak.correct.mean(), tokens.strong.correct.mean()
    for point in found(tokens, usd):
        assert point.accuracy == pytest.approx(weak + point.gap_recovered * (strong - weak))


def test_without_more_strong_tokens_there_is_no_operating_point() -> None:
    tokens, usd = world(3, 100, 6)
    weak = Outcomes(correct=tokens.weak.correct, cost=tokens.strong.cost)
    assert found(replace(tokens, weak=weak), usd) == []


def test_models_without_a_price_have_no_dollars() -> None:
    tokens, _ = world(3, 100, 6)
    axes = (tokens.sweep, tokens.weak, tokens.strong)
    free = [Outcomes(correct=each.correct, cost=0 * each.cost) for each in axes]
    points = found(tokens, Spent(sweep=free[0], weak=free[1], strong=free[2]))
    assert any(point.strong_tokens is not None for point in points)
    assert all(point.cost_usd is None and point.cost_usd_ci95 == (None, None) for point in points)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 40), st.integers(1, 6))
def test_a_point_lies_between_its_neighbours_and_no_knob_between_them(seed: int, problems: int, knobs: int) -> None:
    tokens, usd = world(seed, problems, knobs)
    shares = [0.0, *(tokens.sweep.cost.mean(axis=1) / tokens.strong.cost.mean())]
    for point in found(tokens, usd):
        if point.strong_tokens is None:
            assert point.between is None
            continue
        assert point.between is not None
        low, high = point.between
        assert low - 1e-9 <= point.strong_tokens <= high + 1e-9
        assert not [share for share in shares if low + 1e-9 < share < high - 1e-9]
