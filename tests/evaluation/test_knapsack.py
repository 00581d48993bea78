from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.evaluation.knapsack import Assignment, assign, exact, local


def case(seed: int, problems: int, routes: int, most: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((problems, routes)), rng.integers(0, most, (problems, routes))


def brute_force(right: np.ndarray, cost: np.ndarray, budget: int) -> float:
    rows = np.arange(len(right))
    every = (np.array(routes) for routes in product(range(right.shape[1]), repeat=len(right)))
    return max(right[rows, routes].sum() for routes in every if cost[rows, routes].sum() <= budget)


def check_sums(found: Assignment, right: np.ndarray, cost: np.ndarray) -> None:
    rows = np.arange(len(right))
    assert found.right == pytest.approx(right[rows, found.routes].sum())
    assert found.cost == pytest.approx(cost[rows, found.routes].sum())


@given(seed=st.integers(0, 10_000), share=st.floats(0, 1.2))
def test_exact_is_the_best_of_all_assignments(seed: int, share: float) -> None:
    right, cost = case(seed, 5, 3)
    least = int(cost.min(axis=1).sum())
    budget = least + int(share * (cost.max(axis=1).sum() - least))
    found = exact(right, cost, budget)
    assert found.cost <= budget
    check_sums(found, right, cost)
    assert found.right == pytest.approx(brute_force(right, cost, budget))


@given(seed=st.integers(0, 10_000), share=st.floats(0, 1.2))
def test_the_lagrangian_is_off_by_less_than_one_problem(seed: int, share: float) -> None:
    right, cost = case(seed, 30, 4)
    least = int(cost.min(axis=1).sum())
    budget = least + int(share * (cost.max(axis=1).sum() - least))
    found, best = assign(right, cost.astype(float), budget), exact(right, cost, budget)
    assert found.cost <= budget
    check_sums(found, right, cost)
    assert best.right - 1 < found.right <= best.right + 1e-9


def test_a_budget_for_everything_gives_every_problem_its_best_route_at_price_0() -> None:
    right, cost = case(1, 50, 4)
    found = assign(right, cost.astype(float), 1e9)
    assert (found.routes == right.argmax(axis=1)).all()
    assert found.price == 0


def test_the_least_budget_gives_every_problem_its_cheapest_route() -> None:
    right, cost = case(2, 50, 4)
    budget = int(cost.min(axis=1).sum())
    assert assign(right, cost.astype(float), budget).cost == budget
    assert exact(right, cost, budget).cost == budget


def test_a_budget_that_does_not_pay_for_all_names_the_least() -> None:
    right, cost = np.full((4, 2), 0.5), np.array([[1, 9], [2, 9], [3, 9], [4, 9]])
    for solve in (assign, exact):
        with pytest.raises(ConfigError, match=r"budget: 3 pays for 2 of 4 problems .* Give at least 10"):
            solve(right, cost, 3)
    with pytest.raises(ConfigError, match="pays for 0 of 4"):
        assign(right, cost.astype(float), 0)


def test_local_gives_a_problem_that_nothing_fits_its_cheapest_route() -> None:
    right, cost = np.array([[0.1, 0.9], [0.8, 0.9]]), np.array([[6.0, 5.5], [1.0, 4.0]])
    assert local(right, cost, 10.0).routes.tolist() == [1, 1]
    assert local(right, cost, 2.0).routes.tolist() == [1, 0]


def test_free_routes_and_equal_costs_are_no_special_case() -> None:
    right = np.array([[0.2, 0.7], [0.6, 0.1]])
    assert assign(right, np.zeros((2, 2)), 0.0).routes.tolist() == [1, 0]
    assert assign(right, np.ones((2, 2)), 2.0).routes.tolist() == [1, 0]
