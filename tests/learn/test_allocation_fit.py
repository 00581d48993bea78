"""A learnt allocation on problems whose answer is known: the weak model cannot divide."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from itertools import islice

import numpy as np
import pytest

from steproute.config import lab_roles
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.solution import Confidence, Step
from steproute.core.trace import Trace
from steproute.core.usage import Price
from steproute.engine.roles import ModelRole
from steproute.lab.planner import OraclePlanner
from steproute.lab.story import generate
from steproute.learn.allocation_fit import Attempt, fit_allocation, log_loss
from steproute.learn.allocation_runs import explored
from steproute.policies.allocation import Outline

pytest.importorskip("scipy", reason="fitting needs the learn extra")
CHANCES = {("weak", "divide"): 0.2, ("weak", "add"): 0.95, ("strong", "divide"): 0.97, ("strong", "add"): 0.97}
PRICES = {name: Price(input=Decimal(0), output=Decimal(price)) for name, price in (("weak", 1), ("strong", 10))}


def attempts(count: int, seed: int) -> list[Attempt]:
    rng = np.random.default_rng(seed)
    return [attempt(rng) for _ in range(count)]


def attempt(rng: np.random.Generator) -> Attempt:
    """Up to five sub-tasks by authors at random, and whether all steps came out right."""
    kinds = [str(rng.choice(["divide", "add"])) for _ in range(rng.integers(1, 6))]
    authors = [str(rng.choice(["weak", "strong"])) for _ in kinds]
    sound = [rng.random() < CHANCES[author, kind] for author, kind in zip(authors, kinds, strict=True)]
    steps = tuple(
        Step(
            role=author,
            text="x",
            tokens=10,
            confidence=Confidence(mean_logprob=-0.1 if fine else -1.5, min_logprob=-0.2 if fine else -3.0),
        )
        for author, fine in zip(authors, sound, strict=True)
    )
    subtasks = tuple(f"{kind} {int(rng.integers(2, 99))} to it" for kind in kinds)
    return Attempt(problem="?" * 60, subtasks=subtasks, steps=steps, read_tokens=20, correct=all(sound))


def test_chances_of_steps_are_found_from_final_answers_alone() -> None:
    fitted = fit_allocation(attempts(3000, 0), attempts(500, 1), ("weak", "strong"))
    chances = fitted.chances(fitted.features(("add 3 to it", "divide 4 to it", "add 5 to it")))
    assert chances[0] == pytest.approx([0.95, 0.97], abs=0.04)
    assert chances[1] == pytest.approx([0.2, 0.97], abs=0.06)
    assert fitted.recovery < 0.05
    assert fitted.step_tokens == pytest.approx([10, 10])
    assert fitted.read_per_character == pytest.approx(1 / 3)


def test_the_learnt_allocation_gives_the_strong_model_what_the_weak_one_cannot_do() -> None:
    fitted = fit_allocation(attempts(1500, 0), attempts(300, 1), ("weak", "strong"))
    outline = Outline(
        problem="?" * 60, subtasks=("add 3 to it", "divide 4 to it", "add 5 to it"), steps=(), prices=PRICES
    )
    assert fitted.at(0.5).allocate(outline) == ("weak", "strong", "weak")


def test_how_sure_an_author_was_tells_whether_the_solution_can_still_be_right() -> None:
    fitted = fit_allocation(attempts(1500, 0), attempts(300, 1), ("weak", "strong"))
    sure, unsure = (Confidence(mean_logprob=mean, min_logprob=2 * mean) for mean in (-0.1, -1.5))
    features = fitted.features(("divide 4 to it",))

    def chance(confidence: Confidence | None) -> float:
        return fitted.chance_so_far(features, [Step(role="weak", text="x", tokens=9, confidence=confidence)])

    assert chance(sure) > 0.9
    assert chance(unsure) < 0.1
    assert chance(None) == 1.0


def test_other_problems_are_predicted_better_than_by_the_mean() -> None:
    fitted, other = fit_allocation(attempts(800, 0), attempts(200, 1), ("weak", "strong")), attempts(400, 2)
    share = np.mean([each.correct for each in other])
    assert log_loss(fitted, other) < -(share * np.log(share) + (1 - share) * np.log(1 - share)) - 0.1


def test_too_little_to_learn_from_is_refused() -> None:
    some = attempts(200, 0)
    with pytest.raises(DatasetError, match="of either"):
        fit_allocation([each for each in some if each.correct], some, ("weak", "strong"))
    with pytest.raises(DatasetError, match="mid wrote no step"):
        fit_allocation(some, some, ("weak", "mid", "strong"))


async def grade(problem: Problem, trace: Trace) -> bool:
    return trace.answer == problem.answer


def test_exploration_has_each_role_write_sub_tasks_of_the_lab() -> None:
    roles = lab_roles()
    roles = replace(roles, models={**roles.models, "planner": ModelRole(model=OraclePlanner())})
    problems = list(islice(generate("train", 3), 6))
    found = asyncio.run(explored(problems, roles, ("weak", "strong"), grade))
    assert {step.role for each in found for step in each.steps} == {"weak", "strong"}
    for each in found:
        assert len(each.steps) <= len(each.subtasks)
        for subtask, step in zip(each.subtasks, each.steps, strict=False):
            assert subtask.split()[0] == step.text.split()[0], "the label with which the step begins"
            assert step.confidence is not None
