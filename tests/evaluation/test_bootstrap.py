import math

import numpy as np
import pytest

from steproute.core.errors import ConfigError
from steproute.evaluation.bootstrap import Outcomes, curve_intervals, curve_of, lead_intervals
from steproute.evaluation.metrics import METRICS, UndefinedMetric, measure
from steproute.evaluation.proportions import proportion_interval
from steproute.evaluation.resampling import Interval

KNOBS = [0.0, 0.25, 0.5, 0.75, 1.0]


def a_run(problems: int, seed: int, best: float = 0.8) -> tuple[Outcomes, Outcomes, Outcomes]:
    """A concave sweep from 0.4 to `best`, with the same problems behind every knob."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(problems)
    knobs = np.array(KNOBS)[:, None]
    sweep = Outcomes(
        correct=hardness < 0.4 + (best - 0.4) * np.sqrt(knobs),
        cost=rng.gamma(4.0, 100.0, problems) * knobs,
        regenerations=np.sort(rng.poisson(2.0, (len(knobs), problems, 4)))[..., ::-1].astype(float),
    )
    weak = Outcomes(correct=sweep.correct[0], cost=sweep.cost[0])
    strong = Outcomes(correct=hardness < 0.8, cost=sweep.cost[-1])
    return sweep, weak, strong


def test_intervals_hold_the_point_estimates() -> None:
    run = a_run(400, seed=0)
    metrics = measure(curve_of(KNOBS, *run))
    intervals = curve_intervals(*run, np.random.default_rng(1))
    for name in METRICS:
        interval = intervals.metrics[name]
        assert interval.low <= metrics[name] <= interval.high, name
    for interval, accuracy in zip(intervals.accuracy, run[0].correct.mean(axis=1), strict=True):
        assert interval.low <= accuracy <= interval.high
    assert intervals.undefined == 0


def test_a_bootstrap_resample_is_measured_as_a_curve_is() -> None:
    run = a_run(60, seed=3)
    drawn = np.repeat(np.arange(60), np.random.default_rng(7).multinomial(60, np.full(60, 1 / 60)))
    again = [
        Outcomes(
            correct=x.correct[..., drawn],
            cost=x.cost[..., drawn],
            regenerations=None if x.regenerations is None else x.regenerations[..., drawn, :],
        )
        for x in run
    ]
    intervals = curve_intervals(*run, np.random.default_rng(7), resamples=1)
    metrics = measure(curve_of(KNOBS, *again))
    for name in METRICS:
        value = metrics[name]
        assert intervals.metrics[name].low == pytest.approx(value)
        assert intervals.metrics[name].high == pytest.approx(value)


def test_the_interval_of_an_accuracy_covers_the_truth_about_95_times_in_100() -> None:
    covered = 0
    for seed in range(200):
        interval = curve_intervals(*a_run(200, seed), np.random.default_rng(seed), resamples=200).accuracy[2]
        covered += interval.low <= 0.4 + 0.4 * math.sqrt(0.5) <= interval.high
    assert 180 <= covered <= 199


def test_an_accuracy_interval_agrees_with_the_wilson_interval() -> None:
    sweep, weak, strong = a_run(1000, seed=5)
    solved = int(sweep.correct[2].sum())
    bootstrapped = curve_intervals(sweep, weak, strong, np.random.default_rng(0)).accuracy[2]
    wilson = proportion_interval(solved, 1000)
    assert bootstrapped.low == pytest.approx(wilson.low, abs=0.01)
    assert bootstrapped.high == pytest.approx(wilson.high, abs=0.01)


def test_a_share_that_is_often_not_reached_has_an_infinite_upper_end() -> None:
    # The policy ends at accuracy 0.78, PGR 0.95 of the way to 0.8: about half of the resamples stay below it.
    intervals = curve_intervals(*a_run(300, seed=2, best=0.78), np.random.default_rng(0))
    assert intervals.metrics["cpt95"].high == math.inf
    assert intervals.metrics["cpt95"].low < 1
    never = curve_intervals(*a_run(300, seed=2, best=0.5), np.random.default_rng(0))
    assert never.metrics["cpt95"] == Interval(math.inf, math.inf)


def test_resamples_without_a_gap_are_counted() -> None:
    rng = np.random.default_rng(0)
    weak = Outcomes(correct=rng.random(30) < 0.5, cost=np.zeros(30))
    strong = Outcomes(correct=rng.random(30) < 0.6, cost=np.full(30, 100.0))
    sweep = Outcomes(correct=strong.correct[None], cost=strong.cost[None] / 2)
    intervals = curve_intervals(sweep, weak, strong, rng)
    assert 0 < intervals.undefined < 1000
    assert math.isfinite(intervals.metrics["apgr"].high)


def test_without_any_gap_there_are_no_intervals() -> None:
    sweep, weak, _ = a_run(50, seed=0)
    strong = Outcomes(correct=weak.correct, cost=weak.cost + 10)
    with pytest.raises(UndefinedMetric, match="no gap to recover"):
        curve_intervals(sweep, weak, strong, np.random.default_rng(0))


def test_the_seed_fixes_the_intervals() -> None:
    run = a_run(100, seed=0)
    first, second, other = (curve_intervals(*run, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first == second
    assert first != other


def test_outcomes_of_different_shapes_are_rejected() -> None:
    sweep, weak, strong = a_run(50, seed=0)
    shorter = Outcomes(correct=weak.correct[:-1], cost=weak.cost[:-1])
    with pytest.raises(ConfigError, match="same problems"):
        curve_intervals(sweep, shorter, strong, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="same problems"):
        curve_intervals(weak, weak, strong, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="knobs"):
        curve_of([0.0], sweep, weak, strong)
    with pytest.raises(ConfigError, match="one of each"):
        Outcomes(correct=weak.correct, cost=shorter.cost)
    with pytest.raises(ConfigError, match="negative"):
        Outcomes(correct=weak.correct, cost=weak.cost - 1)
    with pytest.raises(ConfigError, match="resamples"):
        curve_intervals(sweep, weak, strong, np.random.default_rng(0), resamples=0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gain", [0.0, 0.05, 0.2])
def test_leads_compare_two_curves_on_one_and_the_same_resample(seed: int, gain: float) -> None:
    """A policy that is right wherever the baseline is, and a fixed share more: far less spread than unpaired."""
    rng = np.random.default_rng(seed)
    hardness, extra = rng.random(500), rng.random(500)
    weak = Outcomes(correct=hardness < 0.3, cost=np.zeros(500))
    strong = Outcomes(correct=np.full(500, True), cost=np.full(500, 100.0))
    middle = hardness < 0.6
    baseline = Outcomes(correct=middle[None], cost=np.full((1, 500), 50.0))
    better = Outcomes(correct=(middle | (extra < gain))[None], cost=np.full((1, 500), 50.0))
    (interval,) = lead_intervals(better, baseline, weak, strong, [0.5], np.random.default_rng(seed))
    share = float((better.correct & ~baseline.correct).mean())
    half = 1.96 * math.sqrt(share * (1 - share) / 500)
    assert interval.low == pytest.approx(share - half, abs=0.006)
    assert interval.high == pytest.approx(share + half, abs=0.006)
