import itertools
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.evaluation.graded import graded, problems, series, sweep

from steproute.cli.comparison_tables import difference_table
from steproute.evaluation.bootstrap import Outcomes, curve_of, metric_samples
from steproute.evaluation.compare import AXES, COMPARED, Comparison, compare
from steproute.evaluation.differences import difference, holm, least_p, metric_interval
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.metrics import METRICS, measure
from steproute.evaluation.sweep import Cell


def world(seed: int, problems: int = 200) -> tuple[Outcomes, Outcomes, Outcomes, Outcomes]:
    """A policy, the same one with strong steps thrown away at random, weak and strong."""
    rng = np.random.default_rng(seed)
    hard = rng.random(problems)
    knobs = np.linspace(0, 1, 6)[:, None]
    good = Outcomes(correct=hard < 0.5 + 0.4 * knobs**0.3, cost=100 * knobs + 0 * hard)
    poor = Outcomes(correct=hard < 0.5 + 0.4 * knobs**3, cost=100 * knobs + 0 * hard)
    weak = Outcomes(correct=hard < 0.5, cost=np.zeros(problems))
    strong = Outcomes(correct=hard < 0.9, cost=np.full(problems, 100.0))
    return good, poor, weak, strong


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_first_sample_is_the_curves_own_metric(seed: int) -> None:
    good, poor, weak, strong = world(seed)
    samples = metric_samples([good, poor], weak, strong, np.random.default_rng(0), resamples=20)
    for outcomes, sample in zip((good, poor), samples, strict=True):
        own = measure(curve_of(range(6), outcomes, weak, strong))
        for name in METRICS:
            assert sample[name][0] == pytest.approx(own[name], nan_ok=True)
            assert sample[name].shape == samples[0]["apgr"].shape


def test_a_better_policy_wins_with_a_small_p_and_equals_do_not() -> None:
    good, poor, weak, strong = world(0)
    first, second, again = metric_samples([good, poor, good], weak, strong, np.random.default_rng(0))
    for metric in ("apgr", "delta_ibc", "accuracy_at_20"):
        better = difference(first[metric], second[metric])
        assert better.value > 0
        assert better.interval.low > 0
        assert better.p == least_p(1000)
        assert difference(second[metric], first[metric]).value == -better.value
        assert difference(first[metric], again[metric]).p == 1.0


def test_a_share_that_neither_reaches_is_no_difference() -> None:
    never = np.full(11, np.inf)
    assert difference(never, never).value == 0
    assert difference(never, never).p == 1.0
    assert difference(never, np.zeros(11)).value == np.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_p_is_rarely_small_without_a_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = difference(np.concatenate([[0.0], rng.normal(size=999)]), np.zeros(1000))
    assert found.p is not None
    assert found.p > 0.5


VALUES = st.lists(st.sampled_from([0.1, 0.5, math.inf, math.nan]), min_size=2, max_size=60)


@settings(max_examples=300)
@given(VALUES, VALUES)
def test_a_difference_without_a_value_has_no_p_and_no_interval(one: list[float], other: list[float]) -> None:
    """Neither has one in which more than 5 % of the resamples have no value."""
    size = min(len(one), len(other))
    first, second = np.array(one[:size]), np.array(other[:size])
    found = difference(first, second)
    undefined = np.isnan(first) | np.isnan(second)
    if undefined[0] or undefined[1:].mean() > 0.05:
        assert found.p is None
        assert math.isnan(found.interval.low)
        assert math.isnan(found.interval.high)
        assert math.isnan(found.value) == undefined[0]
    else:
        assert found.p is not None
        assert least_p(size - 1) <= found.p <= 1
        assert not math.isnan(found.interval.low)


def test_a_metric_without_a_value_has_no_interval() -> None:
    samples = np.array([math.nan, *np.linspace(0, 1, 99)])
    assert math.isnan(metric_interval(samples).low)
    assert not math.isnan(metric_interval(samples[1:]).low)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holms_correction_is_the_closed_testing_of_all_subsets(p_values: list[float | None]) -> None:
    """Each corrected p is the largest Bonferroni p of any set that holds it: the definition, for small families."""
    corrected = holm(p_values)
    known = [p for p in p_values if p is not None]
    for p, found in zip(p_values, corrected, strict=True):
        if p is None:
            assert found is None
            continue
        larger = sum(other >= p for other in known)
        sets = [len(known) - rank for rank in range(len(known) - larger + 1)]
        by_definition = max(
            min(1.0, size * sorted(known)[len(known) - size]) for size in sets if sorted(known)[len(known) - size] <= p
        )
        assert found == pytest.approx(by_definition)


def test_holms_correction_of_a_known_case() -> None:
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])


def compared(
    weak_usd: float,
    names: tuple[str, ...] = ("one", "two", "three"),
    *,
    weak_right: int = 4,
    seconds: dict[str, float] | None = None,
) -> Comparison:
    """Three policies with the same points, but the third solves less; weak alone costs `weak_usd`, strong 1.

    weak_right: of ten problems; strong solves nine. seconds: virtual ones, by the name of the route.
    """
    count = 80
    every = [series(name, (0.5, 1.0)) for name in names]
    whole = sweep(every[0], *every[1:])
    cells = []
    for index in range(count):
        strong_usd = 1.0
        cells.append(graded("weak", f"p{index}", index % 10 < weak_right, weak_tokens=9, usd=weak_usd))
        cells.append(graded("strong", f"p{index}", index % 10 < 9, strong_tokens=100, usd=strong_usd))
        for name in names:
            right = 5 if name == "three" else 8
            usd = (weak_usd + strong_usd) / 2
            cells.append(graded(f"{name}=0.5", f"p{index}", index % 10 < right, strong_tokens=50, usd=usd))
            cells.append(graded(f"{name}=1", f"p{index}", index % 10 < 9, strong_tokens=100, usd=strong_usd))
    alone = None if seconds is None else {Cell.of(trace): seconds[trace.route] for trace in cells}
    return compare("c", "d", whole, JudgedRuns(whole, problems(count), cells, alone=alone), 0, resamples=400)


@pytest.mark.parametrize("weak_usd", [0.25, 0.4, 0.8])
def test_without_a_cost_gap_there_is_no_difference_and_no_p(weak_usd: float) -> None:
    """Found as p 0.002 between two identical sweeps: at 20 % of the dollars neither has an accuracy."""
    comparison = compared(weak_usd)
    for first, second in itertools.combinations(("one", "two", "three"), 2):
        pair = comparison.pair(first, second, "accuracy_at_20", "usd")
        assert (pair.difference, pair.difference_ci95, pair.better, pair.p, pair.p_holm) == (None,) * 5
        assert comparison.pair(first, second, "accuracy_at_20", "tokens").p is not None
    for row in comparison.rows:
        assert row.metrics["usd"]["accuracy_at_20"] is None
        assert row.metrics["usd"]["accuracy_at_20_ci95"] is None
    written = msgspec.json.decode(msgspec.json.encode(comparison))
    assert any(pair["p"] is None for pair in written["pairs"])


@pytest.mark.parametrize("weak_right", [9, 10])
def test_without_a_gap_there_are_rows_and_a_note_but_no_metrics(weak_right: int) -> None:
    comparison = compared(0.1, weak_right=weak_right)
    assert "there is no gap to recover" in comparison.note
    assert [row.name for row in comparison.rows] == ["one", "two", "three"]
    assert [row.metrics for row in comparison.rows] == [{}, {}, {}]
    assert comparison.pairs == []
    assert compared(0.1).note == ""


def test_virtual_seconds_are_a_kind_of_cost_of_their_own() -> None:
    """Two spends what one spends, but takes longer for it."""
    slower = {"one=0.5": 2.0, "two=0.5": 3.0, "three=0.5": 2.0}
    at_strong = dict.fromkeys(("one=1", "two=1", "three=1"), 4.0)
    comparison = compared(0.1, seconds={"weak": 1.0, "strong": 4.0} | slower | at_strong)
    assert comparison.pair("one", "two", "apgr", "usd").difference == 0
    pair = comparison.pair("one", "two", "apgr", "seconds")
    assert (pair.better, pair.p_holm is not None) == ("one", True)
    assert [(row.seconds, row.seconds_at) for row in comparison.rows] == [(4.0, 1.0)] * 3
    without = compared(0.1)
    assert [row.seconds for row in without.rows] == [None] * 3
    assert "seconds" not in without.rows[0].metrics


def test_identical_policies_never_differ() -> None:
    comparison = compared(0.1)
    for axis in AXES:
        for metric in COMPARED:
            pair = comparison.pair("one", "two", metric, axis)
            assert (pair.difference, pair.better, pair.p, pair.p_holm) == (0, None, 1.0, 1.0)


@pytest.mark.parametrize("metric", COMPARED)
def test_the_better_policy_follows_from_the_metrics_direction(metric: str) -> None:
    """Of a CPT the lower is better, so the one ahead has the negative difference."""
    comparison = compared(0.1)
    pair = comparison.pair("one", "three", metric)
    assert pair.better == "one"
    assert pair.difference is not None
    assert (pair.difference < 0) == (METRICS[metric].lower_is_better)
    turned = comparison.pair("three", "one", metric)
    assert turned.better == "one"
    assert turned.difference == -pair.difference
    assert pair.difference_ci95 is not None
    low, high = pair.difference_ci95
    assert low is not None
    assert high is not None
    assert low < high
    assert turned.difference_ci95 == (-high, -low)
    assert turned.p == pair.p


def test_p_is_corrected_over_the_pairs_with_the_first_policy() -> None:
    comparison = compared(0.1)
    for axis in AXES:
        family = [
            each for each in comparison.pairs if each.axis == axis and each.first == "one" and each.metric in COMPARED
        ]
        assert len(family) == 2 * len(COMPARED)
        assert [each.p_holm for each in family] == holm([each.p for each in family])
    assert {each.p_holm for each in comparison.pairs if each.first != "one"} == {None}
    assert comparison.least_p == 2 / 401


def test_undefined_differences_are_dashes_in_the_table() -> None:
    comparison = compared(0.1)
    console = Console(width=160)
    with console.capture() as capture:
        console.print(difference_table(comparison, "stepwise"))
    shown = capture.get()
    assert "CPT(95 %) ↓" in shown
    assert "APGR ↑" in shown
    assert "level, p 1.000" in shown
    assert "behind, p < 0.0" in shown
    assert "problems alone, corrected (Holm) for all 8 differences" in " ".join(shown.split())
    assert "ahead, p" not in shown.split("policy", 1)[1], "no policy is better than the first"
    blank = replace(comparison.pairs[0], difference=None, difference_ci95=None, better=None, p=None, p_holm=None)
    hollow = replace(comparison, pairs=[blank, *comparison.pairs[1:]])
    with console.capture() as capture:
        console.print(difference_table(hollow, "stepwise"))
    assert "–" in capture.get()


def test_a_share_that_only_one_reaches_is_a_difference_without_a_number() -> None:
    comparison = compared(0.1)
    pair = comparison.pairs[0]
    for better, words in (("one", "not reached"), ("two", "reached by it alone")):
        unequal = replace(pair, metric="cpt95", difference=None, difference_ci95=(None, None), better=better, p=0.01)
        unequal = replace(unequal, p_holm=0.04)
        hollow = replace(comparison, pairs=[unequal, *comparison.pairs[1:]])
        console = Console(width=160)
        with console.capture() as capture:
            console.print(difference_table(hollow, "stepwise"))
        assert words in capture.get()
