import asyncio
from decimal import Decimal

import pytest

from steproute import Purpose
from steproute.config import lab_roles
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.waste import regenerations
from steproute.learn.rollouts import solve_all
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.arbitrage_oracle import ArbitrageOracle


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return load_problems("lab:test", 12, 0)


def solved(problems: list[Problem], judge: str, threshold: float = 0.5) -> list[Trace]:
    return asyncio.run(solve_all(problems, lab_roles(), ArbitrageOracle(policy=Threshold(threshold), judge=judge)))


def test_the_oracle_by_the_checker_wastes_nothing_and_both_models_are_billed(problems: list[Problem]) -> None:
    traces = solved(problems, "checker")
    again = [regenerations(problem, trace) for problem, trace in zip(problems, traces, strict=True)]
    assert sum(each.checked for each in again) > 0
    assert sum(each.wasted_by_checker for each in again) == 0
    for trace in traces:
        drafts = [line for line in trace.account if line.role == "strong"]
        assert len(drafts) == len(trace.steps)
        assert trace.generated_tokens("strong", Purpose.DISCARDED) > 0
        assert all(line.cost_usd > Decimal(0) for line in drafts)


def test_its_ends_are_the_weak_and_the_strong_model_alone(problems: list[Problem]) -> None:
    for threshold, role in ((0.0, "weak"), (1.0, "strong")):
        traces = solved(problems[:3], "prm", threshold)
        assert {step.role for trace in traces for step in trace.steps} == {role}


def test_a_replaced_step_keeps_the_judges_own_score_of_the_draft(problems: list[Problem]) -> None:
    steps = [step for trace in solved(problems, "checker") for step in trace.steps if step.rejected is not None]
    assert {step.rejected_score for step in steps} == {0.0}
