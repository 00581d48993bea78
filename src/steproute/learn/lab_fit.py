"""TRIM-POMDP's model fitted to a roles on the lab, where the checker labels every step and every answer."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.engine.roles import Roles
from steproute.lab.measure import Checked, check_model
from steproute.learn.outcome_fit import GradedSolution, fit_on_outcomes
from steproute.learn.pomdp_fit import LabelledSolution, fit_hazard, fit_observations
from steproute.policies.trim.pomdp_model import StepPomdp

Labels = Literal["steps", "outcomes"]
_SHARES: Final = np.geomspace(3e-5, 1.5, 20)


async def fit_on_lab(roles: Roles, problems: Sequence[Problem], seed: int, labels: Labels = "steps") -> StepPomdp:
    """The model from one weak and one strong solution a problem: scores and labels of weak's steps, both accuracies.

    labels: `outcomes` uses of the same solutions only whether their answers are correct.
    Raises ConfigError where a roles has no scorer, DatasetError where the solutions leave a state without examples.
    """
    weak, strong = await asyncio.gather(
        check_model(roles.model("weak").model, problems, seed, roles.scorer().scorer),
        check_model(roles.model("strong").model, problems, seed),
    )
    step_tokens = sum(item.tokens for item in strong) / max(1, sum(len(item.verdicts) for item in strong))
    if labels == "outcomes":
        solutions = [GradedSolution(scores=item.scores or (), correct=item.answer_right) for item in weak]
        answers = [(len(item.verdicts), item.answer_right) for item in strong]
        return fit_on_outcomes(solutions, answers, step_tokens=step_tokens)
    return StepPomdp(
        weak_accuracy=_step_accuracy(weak),
        strong_accuracy=_step_accuracy(strong),
        hazard=fit_hazard([len(item.verdicts) for item in weak]),
        observations=fit_observations([_labelled(item) for item in weak if item.verdicts]),
        step_tokens=step_tokens,
    )


def costs_for(model: StepPomdp) -> list[float]:
    """Costs per token at which an average strong step costs from 0.003 % to 150 % of a correct answer.

    At the lowest the policy spends all that its belief allows, so the grid is not what ends its curve.
    """
    return [float(share) * model.task_reward / model.step_tokens for share in _SHARES]


def _step_accuracy(checked: Sequence[Checked]) -> float:
    steps = [right for item in checked for right in item.on_right_prefix]
    if not steps:
        raise ConfigError("there are none to fit on.", where="problems", remedy="Raise --problems.")
    return sum(steps) / len(steps)


def _labelled(checked: Checked) -> LabelledSolution:
    right = checked.on_right_prefix
    return LabelledSolution(scores=checked.scores or (), first_error=None if right[-1] else len(right) - 1)
