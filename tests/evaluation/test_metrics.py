import math
import os
import random
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError, SteprouteError
from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.metrics import (
    Anchor,
    Curve,
    CurvePoint,
    UndefinedMetric,
    apgr,
    budgeted_accuracy,
    cpt,
    delta_ibc,
    measure,
)

DATA = Path(os.environ.get("STEPROUTE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
PUBLISHED = DATA / "trim_reference" / "published_curves.json"
THR, POMDP = "trim_thr_math500_qwen2.5-1.5b_7b", "trim_pomdp_math500_qwen2.5-1.5b_7b"

published = pytest.mark.skipif(not PUBLISHED.exists(), reason=f"{PUBLISHED} is absent; set STEPROUTE_DATA")


def curve_through(
    *points: tuple[float, float], weak: tuple[float, float] = (0, 0.4), strong: tuple[float, float] = (500, 0.8)
) -> Curve:
    """Points and anchors as (strong tokens, accuracy)."""
    return Curve(
        points=tuple(CurvePoint(knob=i, accuracy=a, strong_tokens=t) for i, (t, a) in enumerate(points)),
        weak=Anchor(accuracy=weak[1], strong_tokens=weak[0]),
        strong=Anchor(accuracy=strong[1], strong_tokens=strong[0]),
    )


# Weak 0.4 at 0 tokens, strong 0.8 at 500: the gap is 0.4. In c and PGR the points are (0.2, 0.5), (0.6, 0.75).
HAND = curve_through((100, 0.6), (300, 0.7))

accuracies = st.integers(0, 500).map(lambda solved: solved / 500)
tokens = st.integers(0, 700).map(float)
points = st.lists(st.tuples(tokens, accuracies), min_size=1, max_size=12)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    weak, strong = sorted(draw(st.tuples(accuracies, accuracies)))
    assume(strong > weak)
    return curve_through(*draw(points), weak=(0, weak), strong=(draw(st.integers(1, 600)), strong))


def test_all_metrics_of_a_curve_match_the_hand_calculation() -> None:
    metrics = measure(HAND)
    # PGR runs straight through (0, 0), (0.2, 0.5), (0.6, 0.75) and, anchored, (1, 1).
    assert metrics["cpt50"] == pytest.approx(0.2)
    assert metrics["cpt80"] == math.inf  # the policy ends at PGR 0.75; the strong anchor is not its own
    assert metrics["cpt95"] == math.inf
    # Trapezoids: 0.2 * 0.25 + 0.4 * 0.625 + 0.4 * 0.875 = 0.05 + 0.25 + 0.35
    assert metrics["apgr"] == pytest.approx(0.65)
    # Middles f = 0.1, 0.3, 0.5, 0.7, 0.9 have PGR 0.25, 0.5625, 0.6875, 0.8125, 0.9375, so ΔIBC = PGR / f - 1 is
    # 1.5, 0.875, 0.375, 0.1607142857, 0.0416666667; the sum 2.9523809524 over 5 is
    assert metrics["delta_ibc"] == pytest.approx(0.5904761905)
    assert metrics["accuracy_at_10"] == pytest.approx(0.5)  # half way from 0.4 to 0.6
    assert metrics["accuracy_at_20"] == pytest.approx(0.6)
    assert metrics["accuracy_at_30"] == pytest.approx(0.625)  # a quarter of the way from 0.6 to 0.7


def test_cpt_interpolates_between_points() -> None:
    assert cpt(HAND, 0.25) == pytest.approx(0.1)
    assert cpt(HAND, 0.6) == pytest.approx(0.36)  # 0.2 + (0.6 - 0.5) / (0.75 - 0.5) * 0.4


def test_a_curve_that_falls_again_is_counted_from_its_first_crossing() -> None:
    dented = curve_through((100, 0.7), (200, 0.5), (300, 0.75))
    # Rises to PGR 0.75 at c = 0.2: 0.5 is crossed at two thirds of the way, not after the dent.
    assert cpt(dented, 0.5) == pytest.approx(0.2 * 2 / 3)
    assert budgeted_accuracy(dented, 0.4) == pytest.approx(0.5)


def test_a_policy_that_costs_more_than_strong_has_a_cpt_above_one() -> None:
    dear = curve_through((250, 0.6), (750, 0.8))
    assert cpt(dear, 0.8) == pytest.approx(1.1)  # 0.5 + (0.8 - 0.5) / (1 - 0.5) * 1
    assert apgr(dear) == pytest.approx(0.5)  # the straight line: at c = 1 strong is above the curve's PGR 0.75
    assert delta_ibc(dear) == pytest.approx(0)


def test_a_curve_that_passes_above_strong_is_cut_at_its_own_height() -> None:
    # From (0, 0.4) to (1000, 1.0) it passes c = 1 at accuracy 0.7, PGR 1.5: half of 1.5, and PGR / f - 1 = 0.5.
    above = curve_through((1000, 1.0), strong=(500, 0.6))
    assert apgr(above) == pytest.approx(0.75)
    assert delta_ibc(above) == pytest.approx(0.5)
    assert budgeted_accuracy(above, 1) == pytest.approx(0.7)


def test_of_points_that_cost_the_same_only_the_best_counts() -> None:
    assert measure(curve_through((100, 0.3), (100, 0.6), (300, 0.7), (300, 0.7))) == pytest.approx(
        measure(HAND), nan_ok=True
    )
    assert cpt(curve_through((0, 0.7)), 0.5) == 0  # reached without a strong token
    assert cpt(curve_through((0, 0.3), (100, 0.6)), 0.5) == pytest.approx(0.2)  # the weak anchor is better


def test_a_share_that_is_reached_but_for_rounding_counts_as_reached() -> None:
    # PGR of 0.365 is (0.365 - 0.1) / (0.63 - 0.1) = 0.5, which floats may miss by one bit.
    curve = curve_through((100, 0.365), weak=(0, 0.1), strong=(500, 0.63))
    assert cpt(curve, 0.5) == pytest.approx(0.2)


def test_a_weak_model_with_costs_of_its_own_shifts_the_start() -> None:
    # C runs from 100 to 500, so c(weak) = 0.2. The only point, (300, 0.7), is half way: PGR 0.75.
    curve = curve_through((300, 0.7), weak=(100, 0.4))
    assert cpt(curve, 0.75) == pytest.approx(0.6)
    assert apgr(curve) == pytest.approx(0.625)  # 0.5 * 0.375 + 0.5 * 0.875, over the whole way
    # f = 0.1, 0.3, 0.5, 0.7, 0.9 have PGR 0.15, 0.45, 0.75, 0.85, 0.95: 0.5 + 0.5 + 0.5 + 0.2142857 + 0.0555556
    assert delta_ibc(curve) == pytest.approx(1.7698412698 / 5)
    assert math.isnan(budgeted_accuracy(curve, 0.1))  # even weak costs 0.2
    assert budgeted_accuracy(curve, 0.4) == pytest.approx(0.55)


@pytest.mark.parametrize("metric", [lambda c: cpt(c, 0.5), apgr, delta_ibc, measure])
@pytest.mark.parametrize("strong", [(500, 0.4), (500, 0.3), (0, 0.8)])
def test_without_a_gap_or_a_cost_axis_the_metrics_are_undefined(metric, strong) -> None:
    curve = curve_through((100, 0.6), strong=strong)
    with pytest.raises(UndefinedMetric, match=r"strong\.(accuracy|strong_tokens)"):
        metric(curve)
    assert issubclass(UndefinedMetric, ValueError)
    assert issubclass(UndefinedMetric, SteprouteError)


def test_budgeted_accuracy_needs_no_gap() -> None:
    assert budgeted_accuracy(curve_through((250, 0.6), strong=(500, 0.4)), 0.5) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("accuracy", "strong_tokens"), [(1.2, 0), (-0.1, 0), (math.nan, 0), (0.5, -1), (0.5, math.nan), (0.5, math.inf)]
)
def test_impossible_values_are_rejected(accuracy: float, strong_tokens: float) -> None:
    with pytest.raises(ConfigError):
        CurvePoint(knob=0.5, accuracy=accuracy, strong_tokens=strong_tokens)
    with pytest.raises(ConfigError):
        Anchor(accuracy=accuracy, strong_tokens=strong_tokens)


def test_impossible_arguments_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"Give 0\.5 for"):
        cpt(HAND, 50)
    with pytest.raises(ConfigError, match="fraction"):
        budgeted_accuracy(HAND, 20)
    with pytest.raises(ConfigError, match="regions"):
        delta_ibc(HAND, regions=0)
    with pytest.raises(ConfigError, match="points"):
        curve_through()
    with pytest.raises(ConfigError, match="knob"):
        CurvePoint(knob=math.nan, accuracy=0.5, strong_tokens=1)


@given(curves(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_share_never_costs_less(curve: Curve, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert cpt(curve, low) <= cpt(curve, high)


@given(curves(), st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(curve: Curve, shuffler: random.Random) -> None:
    mixed = list(curve.points)
    shuffler.shuffle(mixed)
    assert measure(Curve(points=tuple(mixed), weak=curve.weak, strong=curve.strong)) == pytest.approx(
        measure(curve), nan_ok=True
    )


@given(
    weak=st.tuples(st.floats(0, 100), st.floats(0, 0.4)),
    strong=st.tuples(st.floats(200, 600), st.floats(0.5, 1)),
    fractions=st.lists(st.floats(0, 1), min_size=1, max_size=10),
    share=st.floats(0.01, 1),
)
def test_the_straight_line_is_the_yardstick(weak, strong, fractions, share) -> None:
    line = [tuple(w * (1 - f) + s * f for w, s in zip(weak, strong, strict=True)) for f in (*fractions, 1)]
    curve = curve_through(*line, weak=weak, strong=strong)
    assert delta_ibc(curve) == pytest.approx(0, abs=1e-6)
    assert apgr(curve) == pytest.approx(0.5, abs=1e-6)
    c_weak = weak[0] / strong[0]
    assert cpt(curve, share) == pytest.approx(c_weak + share * (1 - c_weak), abs=1e-6)


@given(curves(), st.floats(0.01, 1))
def test_the_budget_of_a_cpt_buys_its_share(curve: Curve, share: float) -> None:
    c = cpt(curve, share)
    assume(c <= 1)
    wanted = curve.weak.accuracy + share * (curve.strong.accuracy - curve.weak.accuracy)
    assert budgeted_accuracy(curve, c) >= wanted - 1e-9


@given(curves())
def test_a_better_point_never_lowers_a_metric(curve: Curve) -> None:
    raised = tuple(
        CurvePoint(knob=p.knob, accuracy=min(1, p.accuracy + 0.1), strong_tokens=p.strong_tokens) for p in curve.points
    )
    before, after = measure(curve), measure(Curve(points=raised, weak=curve.weak, strong=curve.strong))
    assert after["apgr"] >= before["apgr"] - 1e-9
    assert after["delta_ibc"] >= before["delta_ibc"] - 1e-9
    assert after["cpt50"] <= before["cpt50"] + 1e-9


@published
def test_metrics_of_the_published_trim_thr_curve() -> None:
    curve = read_curve(PUBLISHED, THR)
    metrics = measure(curve)
    assert (curve.weak.accuracy, curve.strong.accuracy, curve.strong.strong_tokens) == (0.364, 0.73, 494.84)
    # The gap is 0.366. PGR 50 % is accuracy 0.364 + 0.183 = 0.547, between (70.684, 0.508) and (98.218, 0.548):
    # 70.684 + 0.039 / 0.040 * 27.534 = 97.52965 tokens of 494.84
    assert metrics["cpt50"] == pytest.approx(97.52965 / 494.84)
    # 80 %: 0.6568, between (160.27, 0.634) and (163.838, 0.674): 160.27 + 0.0228 / 0.04 * 3.568 = 162.30376
    assert metrics["cpt80"] == pytest.approx(162.30376 / 494.84)
    # 95 %: 0.7117, between (211.034, 0.66) and (219.062, 0.714): 211.034 + 0.0517 / 0.054 * 8.028 = 218.720067
    assert metrics["cpt95"] == pytest.approx(218.720067 / 494.84)
    # c = 0.1 is 49.484 tokens, on the first piece: 0.364 + 49.484 / 70.684 * 0.144
    assert metrics["accuracy_at_10"] == pytest.approx(0.364 + 49.484 / 70.684 * 0.144)
    # c = 0.2 is 98.968 tokens, between (98.218, 0.548) and (107.162, 0.592): 0.548 + 0.75 / 8.944 * 0.044
    assert metrics["accuracy_at_20"] == pytest.approx(0.548 + 0.75 / 8.944 * 0.044)
    # c = 0.3 is 148.452 tokens, between (145.338, 0.648) and (160.27, 0.634): 0.648 - 3.114 / 14.932 * 0.014
    assert metrics["accuracy_at_30"] == pytest.approx(0.648 - 3.114 / 14.932 * 0.014)
    # The middles of the five regions are 0.1, 0.3, 0.5, 0.7, 0.9 of 494.84 tokens. The first two are the budgets
    # above; the others lie between (233.344, 0.716) and (494.84, 0.73), a rise of 0.014 over 261.496 tokens:
    # 0.716 + 14.076 / 261.496 * 0.014, 0.716 + 113.044 / 261.496 * 0.014, 0.716 + 212.012 / 261.496 * 0.014.
    heights = [0.4648106, 0.6450804, 0.7167536, 0.7220521, 0.7273507]
    ratios = [(h - 0.364) / 0.366 / f - 1 for h, f in zip(heights, (0.1, 0.3, 0.5, 0.7, 0.9), strict=True)]
    assert metrics["delta_ibc"] == pytest.approx(sum(ratios) / 5, abs=1e-5)
    assert metrics["delta_ibc"] == pytest.approx(0.94851, abs=1e-5)
    assert metrics["apgr"] == pytest.approx(0.78734, abs=1e-5)


@published
def test_metrics_of_the_published_trim_pomdp_curve() -> None:
    metrics = measure(read_curve(PUBLISHED, POMDP, anchors_from=THR))
    # 50 %: 0.547, between (44.524, 0.502) and (79.672, 0.556): 44.524 + 0.045 / 0.054 * 35.148 = 73.814
    assert metrics["cpt50"] == pytest.approx(73.814 / 494.84)
    # 80 %: 0.6568, between (95.084, 0.582) and (127.046, 0.662): 95.084 + 0.0748 / 0.08 * 31.962 = 124.96847
    assert metrics["cpt80"] == pytest.approx(124.96847 / 494.84)
    assert metrics["cpt95"] == math.inf  # its best accuracy, 0.684, is PGR 0.874
