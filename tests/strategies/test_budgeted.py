import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_episode import Say, Stage

from steproute.core.errors import ConfigError
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.threshold import Threshold
from steproute.strategies.budgeted import BudgetController, Budgeted

CURVE = BudgetCurve(axis="tokens", knobs=(0.0, 1.0), costs=(0.0, 10.0))


def controller(budget: float = 2.0, deviation: float = 1.0) -> BudgetController:
    return BudgetController(MixtureFamily(Threshold, CURVE, budget, 0.2, deviation).at(0.2, 0))


def expected_cost(policy: object, harder: float) -> float:
    """Problems that cost `harder` times what they did in calibration."""
    return harder * 10.0 * policy.share  # type: ignore[attr-defined]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.4, 2.5), st.floats(0.4, 2.5), st.integers(1, 32), st.integers(0, 1000))
def test_the_running_average_comes_to_the_budget_and_stays_when_the_problems_change(
    first: float, second: float, under_way: int, seed: int
) -> None:
    rng, held = np.random.default_rng(seed), controller()
    open_costs: list[float] = []
    spent: list[float] = []
    for n in range(4000):
        expected = expected_cost(held.begin(), first if n < 2000 else second)
        open_costs.append(expected * rng.exponential())
        if len(open_costs) >= under_way:
            spent.append(open_costs.pop(0))
            held.end(spent[-1])
    assert np.mean(spent[:2000]) == pytest.approx(2.0, rel=0.1)
    assert np.mean(spent) == pytest.approx(2.0, rel=0.1)


def test_the_state_keeps_the_books() -> None:
    held, rng = controller(), np.random.default_rng(0)
    costs = [expected_cost(held.begin(), 1.0) * float(rng.uniform(0, 2)) for _ in range(1)]
    held.end(costs[0])
    for _ in range(200):
        costs.append(expected_cost(held.begin(), 1.0) * float(rng.uniform(0, 2)))
        held.end(costs[-1])
    error = np.mean(costs) / 2.0 - 1
    assert error == pytest.approx(-held.x / (2 * 0.15**2 * len(costs)))


def test_a_problem_that_fails_is_paid_for_too() -> None:
    calibrated = MixtureFamily(Threshold, CURVE, 2.0, 0.2, 1.0).at(0.2, 0)
    strategy = Budgeted(policy=calibrated)
    stage = Stage(weak=[Say("a"), Say("b")], strong=[Say("so \\boxed{1}", 40)], scores=[0.1])
    before = strategy.controller.x
    trace = stage.solve(strategy)
    moved = strategy.controller.x - before
    assert moved == pytest.approx(-0.045 * (trace.generated_tokens("strong") - 2.0) / 2.0)


def test_only_a_calibrated_policy_can_be_held_to_a_budget() -> None:
    with pytest.raises(ConfigError, match="budgeted needs a calibrated one"):
        Budgeted(policy=Threshold(0.5))
