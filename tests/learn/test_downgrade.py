"""Labels by sequential locking, on a toy world whose cheapest sufficient roles are known."""

import asyncio
from collections.abc import Iterable
from itertools import product

import pytest
from tests.learn.test_boundary import IDEAL, KINDS, PROBLEMS, ROLES, grade

from steproute import Problem, Trace
from steproute.core.errors import ConfigError
from steproute.learn.downgrade import Downgrading, StepLabel


async def never(problem: Problem, trace: Trace) -> bool:
    return False


def names(labels: Iterable[StepLabel] | None) -> list[str]:
    assert labels is not None
    return [label.role for label in labels]


def test_each_step_gets_the_cheapest_role_that_suffices() -> None:
    downgrading = Downgrading(ROLES, grade, runs=2)
    labels = [asyncio.run(downgrading.labels(problem)) for problem in PROBLEMS[: len(KINDS)]]
    assert [names(each) for each in labels] == IDEAL
    assert labels[0] is not None
    assert {(label.passes, label.runs) for label in labels[0]} == {(2, 2)}


def test_locking_agrees_with_a_search_through_all_assignments() -> None:
    downgrading = Downgrading(ROLES, grade, runs=1)

    async def cheapest(problem: Problem) -> list[str]:
        every = sorted(product(ROLES.ladder, repeat=3), key=lambda roles: roles.count("strong"))
        sufficient = [roles for roles in every if await downgrading.passes(problem, roles)]
        return list(sufficient[0])

    for problem in PROBLEMS[: len(KINDS)]:
        assert asyncio.run(cheapest(problem)) == names(asyncio.run(downgrading.labels(problem)))


def test_a_problem_that_the_strongest_role_does_not_solve_has_no_labels() -> None:
    assert asyncio.run(Downgrading(ROLES, never, runs=1).labels(PROBLEMS[0])) is None


def test_a_run_with_another_number_of_steps_does_not_pass() -> None:
    downgrading = Downgrading(ROLES, grade, runs=2)
    assert asyncio.run(downgrading.passes(PROBLEMS[0], ["strong"] * 3)) == 2
    assert asyncio.run(downgrading.passes(PROBLEMS[0], ["strong"] * 4)) == 0


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="required: 1.5 is outside"):
        Downgrading(ROLES, grade, required=1.5)
