import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_episode import Say, Stage

from steproute.core.errors import ConfigError
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.budgeted import BudgetPacing, PacingController

CURVE = BudgetCurve(axis="tokens", knobs=(0.0, 1.0), costs=(0.0, 10.0))


def controller(budget: float = 2.0, deviation: float = 1.0) -> PacingController:
    return PacingController(MixtureFamily(Threshold, CURVE, budget, 0.2, deviation).at(0.2, 0))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.4, 2.5), st.floats(0.4, 2.5), st.integers(1, 64), st.integers(0, 1000))
def test_the_running_average_comes_to_the_budget_and_stays_when_the_problems_change(
    first: float, second: float, under_way: int, seed: int
) -> None:
    rng, held = np.random.default_rng(seed), controller()
    open_costs: list[tuple[float, float]] = []
    spent: list[float] = []
    for n in range(2000):
        _, expected = held.begin(str(n))
        open_costs.append((expected * (first if n < 1000 else second) * rng.exponential(), expected))
        if len(open_costs) >= under_way:
            cost, expected = open_costs.pop(int(rng.integers(len(open_costs))))
            held.end(expected, cost)
            spent.append(cost)
    for cost, expected in open_costs:
        held.end(expected, cost)
        spent.append(cost)
    assert np.mean(spent) == pytest.approx(2.0, rel=0.1)
    assert held.debt == pytest.approx(sum(spent) / 2.0 - len(spent), abs=1e-6)


def test_no_setpoint_leaves_the_calibrated_curve() -> None:
    held = controller()
    for n in range(300):
        policy, expected = held.begin(str(n))
        assert policy.costs == (0.0, 10.0)
        held.end(expected, 50.0)
    assert held.begin("a")[0].share < 1e-6
    for n in range(100_000):
        _, expected = held.begin(str(n))
        held.end(expected, 0.0)
    assert held.begin("b")[0].costs == (10.0, 10.0)


def test_what_a_problem_really_cost_counts() -> None:
    strategy = BudgetPacing(policy=MixtureFamily(Threshold, CURVE, 2.0, 0.2, 1.0).at(0.2, 0))
    stage = Stage(weak=[Say("a"), Say("b")], strong=[Say("so \\boxed{1}", 40)], scores=[0.1])
    trace = stage.solve(strategy)
    assert strategy.controller.debt == pytest.approx((trace.generated_tokens("strong") - 2.0) / 2.0)
    assert strategy.controller.rate == pytest.approx(0.045)


def test_only_a_calibrated_policy_can_be_held_to_a_budget() -> None:
    with pytest.raises(ConfigError, match="budgeted needs a calibrated policy"):
        BudgetPacing(policy=Threshold(0.5))
