import re
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError, DatasetError
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.calibrate import Goal, budget_curve, chosen, cost_for, halves, relative_deviation
from steproute.evaluation.measured_mix import Measured, measure_mix
from steproute.policies.mixture import Mix

KNOBS = (0.0, 0.25, 0.5, 0.75, 1.0)


def outcomes(rights: list[int], tokens: list[float], count: int = 100) -> tuple[Outcomes, Outcomes]:
    """`rights[k]` of 100 problems right at knob k at `tokens[k]` strong tokens each; strong has 90 at 10."""
    correct = np.array([[index < right for index in range(count)] for right in rights])
    spread = np.repeat(np.array(tokens, float)[:, None], count, axis=1)
    strong = Outcomes(correct=np.arange(count) < 90, cost=np.full(count, 10.0))
    return Outcomes(correct=correct, cost=spread), strong


def mix_for(goal: Goal, swept: Outcomes, strong: Outcomes) -> Mix:
    curve, accuracy = budget_curve(KNOBS, swept, goal.axis)
    return curve.mix(cost_for(goal, curve, accuracy, strong))


def mix_for_budget(swept: Outcomes, strong: Outcomes, budget: float) -> Mix:
    return mix_for(Goal(budget, "tokens"), swept, strong)


def mix_for_target(swept: Outcomes, strong: Outcomes, target: float) -> Mix:
    return mix_for(Goal(target, "accuracy"), swept, strong)


def measured_on_itself(mix: Mix, swept: Outcomes, strong: Outcomes) -> Measured:
    """Where the problems that measure are those that chose."""
    goal = Goal(0.15, "tokens")
    return measure_mix(mix, goal, KNOBS, (swept, strong), {"tokens": (swept, strong)}, np.random.default_rng(0))


def test_a_budget_between_two_knobs_is_met_by_mixing_them() -> None:
    swept, strong = outcomes([50, 60, 80, 82, 88], [0, 1, 3, 5, 10])
    mix = mix_for_budget(swept, strong, 0.15)
    # (0.1, 60) lies on the segment from (0, 50) to (0.3, 80), so it is no corner.
    assert (mix.low, mix.high) == (0.0, 0.5)
    assert mix.share == pytest.approx(0.5)
    measured = measured_on_itself(mix, swept, strong)
    assert measured.spent["tokens"].share == pytest.approx(0.15)
    assert measured.accuracy == pytest.approx(0.65)


def test_a_target_takes_the_cheapest_mix_that_reaches_it() -> None:
    swept, strong = outcomes([50, 60, 80, 82, 88], [0, 1, 3, 5, 10])
    mix = mix_for_target(swept, strong, 80 / 90)
    assert measured_on_itself(mix, swept, strong).spent["tokens"].share == pytest.approx(0.3)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.floats(0, 10)), min_size=5, max_size=5),
    st.floats(0.001, 1),
)
def test_no_mix_of_two_knobs_at_the_budget_is_more_accurate(points: list[tuple[int, float]], budget: float) -> None:
    swept, strong = outcomes([right for right, _ in points], [tokens for _, tokens in points])
    cost, accuracy = swept.cost.mean(axis=1) / 10, swept.correct.mean(axis=1)
    if budget < cost.min():
        with pytest.raises(ConfigError, match="cheapest knob"):
            mix_for_budget(swept, strong, budget)
        return
    mix = mix_for_budget(swept, strong, budget)
    low, high = KNOBS.index(mix.low), KNOBS.index(mix.high)
    assert (1 - mix.share) * cost[low] + mix.share * cost[high] <= budget + 1e-9
    ours = (1 - mix.share) * accuracy[low] + mix.share * accuracy[high]
    for i in range(5):
        for j in range(5):
            if cost[i] <= budget < cost[j]:
                share = (budget - cost[i]) / (cost[j] - cost[i])
                assert (1 - share) * accuracy[i] + share * accuracy[j] <= ours + 1e-9
            if cost[i] <= budget:
                assert accuracy[i] <= ours + 1e-9


def test_unreachable_goals_are_errors() -> None:
    swept, strong = outcomes([50, 60, 80, 82, 88], [1, 2, 3, 5, 10])
    with pytest.raises(ConfigError, match="budget: 0.5 per problem is below 1"):
        mix_for_budget(swept, strong, 0.05)
    with pytest.raises(ConfigError, match="the best one has 97.8%"):
        mix_for_target(swept, strong, 0.99)


def test_too_few_problems_are_an_error_with_the_number_needed() -> None:
    swept, strong = outcomes([10, 12, 16, 17, 18], [0, 1, 3, 5, 10], count=20)
    mix = mix_for_budget(swept, strong, 0.15)
    with pytest.raises(DatasetError, match="20 problems are left to measure on"):
        measured_on_itself(mix, swept, strong)
    swept, strong = outcomes([10, 12, 16, 17, 18], [0, 1, 3, 5, 10], count=32)
    with pytest.raises(DatasetError, match=r"of your 64 problems 32 measure.* strong's accuracy to ± 0\.\d\d;"):
        measured_on_itself(mix, swept, strong)


def test_the_number_of_problems_that_would_do_is_the_larger_of_the_two() -> None:
    rng = np.random.default_rng(0)
    swept, strong = outcomes([10, 12, 16, 17, 18], [0, 1, 3, 5, 10], count=32)
    unsteady = replace(swept, cost=swept.cost * rng.gamma(0.3, 10.0, swept.cost.shape))
    mix, needed = mix_for_budget(swept, strong, 0.15), []
    for each in (swept, unsteady):
        with pytest.raises(DatasetError, match="Nothing is lost: the same command with --problems") as refusal:
            measured_on_itself(mix, each, strong)
        said = str(refusal.value)
        widest = max(map(float, re.findall(r"to ± ([\d.]+)", said)))
        needed.append(int(re.findall(r"--problems (\d+)", said)[0]))
        assert needed[-1] == pytest.approx(64 * (widest / 0.1) ** 2, rel=0.1)
    assert needed[1] > needed[0] > 64
    assert "cost to ±" in said
    assert "accuracy to ±" in said


@pytest.mark.parametrize("goal", [Goal(0.3, "tokens"), Goal(24.0, "usd"), Goal(0.9, "accuracy")])
def test_dollars_are_measured_for_every_goal(goal: Goal) -> None:
    """At a price of 0.001 a token, dollars and tokens are the same share with the same interval."""
    choosing, measuring = halved(0)
    priced = tuple(replace(each, cost=each.cost * 0.001) for each in measuring)
    curve, accuracy = budget_curve(KNOBS, choosing[0], goal.axis)
    mix = curve.mix(cost_for(goal, curve, accuracy, choosing[1]))
    both = {"tokens": measuring, "usd": (priced[0], priced[1])}
    spent = measure_mix(mix, goal, KNOBS, choosing, both, np.random.default_rng(0)).spent
    assert spent["usd"].mean == pytest.approx(spent["tokens"].mean * 0.001)
    assert spent["usd"].share == pytest.approx(spent["tokens"].share)
    assert astuple(spent["usd"].share_ci95) == pytest.approx(astuple(spent["tokens"].share_ci95))


def test_the_halves_are_disjoint_whole_and_do_not_depend_on_the_order() -> None:
    names = [f"p{index}" for index in range(400)]
    first, second = halves(names)
    assert sorted([*first, *second]) == list(range(400))
    assert 150 < len(first) < 250
    again, _ = halves(names[::-1])
    assert {names[i] for i in first} == {names[::-1][i] for i in again}
    swept, _ = outcomes([50, 60], [0, 1], count=400)
    assert chosen(swept, first).correct.shape == (2, len(first))


def test_the_deviation_is_that_of_the_mixed_cost() -> None:
    correct = np.ones((2, 4), bool)
    swept = Outcomes(correct=correct, cost=np.array([[0.0, 0, 0, 0], [0, 8, 0, 8]]))
    assert relative_deviation(Mix(low=0, high=1, share=0.5), (0, 1), swept) == pytest.approx(3**0.5)
    assert relative_deviation(Mix(low=0, high=0, share=0), (0, 1), swept) == 1.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_deviation_is_that_of_problems_that_toss_the_coin(seed: int, share: float) -> None:
    """As a stream of problems shows it, each at the knob that its toss gives."""
    rng = np.random.default_rng(seed)
    cost = np.stack([rng.gamma(1.5, 4, 50), rng.gamma(3, 10, 50)])
    swept = Outcomes(correct=np.ones((2, 50), bool), cost=cost)
    problems = rng.integers(50, size=200_000)
    stream = cost[(rng.random(200_000) < share).astype(int), problems]
    deviation = relative_deviation(Mix(low=0, high=1, share=share), (0, 1), swept)
    assert deviation == pytest.approx(stream.std() / stream.mean(), rel=0.02)


def halved(seed: int, problems: int = 300) -> tuple[tuple[Outcomes, Outcomes], tuple[Outcomes, Outcomes]]:
    """Problems of differing cost and difficulty, drawn anew by each seed, in halves."""
    rng = np.random.default_rng(seed)
    hard, strong_cost = rng.random(problems), rng.gamma(4, 20, problems)
    knobs = np.array(KNOBS)[:, None]
    spent = strong_cost * np.clip(knobs + rng.normal(0, 0.3, (1, problems)), 0, 1) * (knobs > 0)
    swept = Outcomes(correct=hard < 0.5 + 0.4 * np.sqrt(knobs), cost=spent)
    strong = Outcomes(correct=hard < 0.9, cost=strong_cost)
    first, second = np.arange(problems // 2), np.arange(problems // 2, problems)
    return (chosen(swept, first), chosen(strong, first)), (chosen(swept, second), chosen(strong, second))


@pytest.mark.parametrize("goal", [Goal(0.3, "tokens"), Goal(24.0, "usd"), Goal(0.9, "accuracy")])
def test_the_interval_covers_the_choice_and_the_measurement(goal: Goal) -> None:
    """How far the figure of one calibration strays from that of others, problems drawn anew: 95 % within."""
    found = []
    for seed in range(40):
        choosing, measuring = halved(seed)
        curve, accuracy = budget_curve(KNOBS, choosing[0], goal.axis)
        mix = curve.mix(cost_for(goal, curve, accuracy, choosing[1]))
        found.append(measure_mix(mix, goal, KNOBS, choosing, {goal.axis: measuring}, np.random.default_rng(seed)))
    costs = [(each.spent[goal.axis].share, each.spent[goal.axis].share_ci95) for each in found]
    accuracies = [(each.accuracy_share, each.accuracy_share_ci95) for each in found]
    for name, shares in {"cost": costs, "accuracy": accuracies}.items():
        true = float(np.mean([share for share, _ in shares]))
        intervals = [interval for _, interval in shares]
        covered = sum(interval.low <= true <= interval.high for interval in intervals)
        assert 0.88 <= covered / len(found) <= 1.0, name
