"""TRIM-POMDP's model fitted to the lab's roles, where the checker labels every step and every answer."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.usage import Price
from steproute.engine.roles import Roles
from steproute.lab.measure import Checked, check_model
from steproute.learn.outcome_fit import GradedSolution, fit_on_outcomes
from steproute.learn.pomdp_fit import LabelledSolution, fit_hazard, fit_observations
from steproute.learn.rewriters import SoloSolutions, priced_rewriters
from steproute.policies.trim.pomdp_model import StepPomdp

Labels = Literal["steps", "outcomes"]
_SHARES: Final = np.geomspace(3e-5, 1.5, 20)


async def fit_on_lab(
    roles: Roles,
    problems: Sequence[Problem],
    seed: int,
    labels: Labels = "steps",
    rewriters: Sequence[str] = ("strong",),
) -> StepPomdp:
    """The model from one solution per problem by the weak model, scored, and by each rewriter.

    labels: `outcomes` uses of the same solutions only whether their answers are correct. rewriters: their roles.
    Raises ConfigError for a missing model or scorer, DatasetError if the solutions leave a state without examples.
    """
    models = [roles.model(role) for role in rewriters]
    weak, *others = await asyncio.gather(
        check_model(roles.model("weak").model, problems, seed, roles.scorer().scorer),
        *(check_model(each.model, problems, seed) for each in models),
    )
    solo = [_solo(role, each.price, found) for role, each, found in zip(rewriters, models, others, strict=True)]
    if labels == "outcomes":
        return fit_on_outcomes(
            [GradedSolution(scores=item.scores or (), correct=item.answer_right) for item in weak], solo
        )
    priced, step_tokens = priced_rewriters(solo, [_step_accuracy(found) for found in others])
    return StepPomdp(
        weak_accuracy=_step_accuracy(weak),
        rewriters=priced,
        hazard=fit_hazard([len(item.verdicts) for item in weak]),
        observations=fit_observations([_labelled(item) for item in weak if item.verdicts]),
        step_tokens=step_tokens,
    )


def costs_for(model: StepPomdp) -> list[float]:
    """Costs per token at which the dearest rewriter's average step costs from 0.003 % to 150 % of a correct answer.

    At the lowest the policy spends all that its belief allows, so the grid is not what ends its curve.
    """
    return [float(share) * model.task_reward / model.step_tokens for share in _SHARES]


def _solo(role: str, price: Price, checked: Sequence[Checked]) -> SoloSolutions:
    return SoloSolutions(
        role=role,
        answers=[(len(item.verdicts), item.answer_right) for item in checked],
        tokens=sum(item.tokens for item in checked),
        price=price,
    )


def _step_accuracy(checked: Sequence[Checked]) -> float:
    steps = [correct for item in checked for correct in item.on_right_prefix]
    if not steps:
        raise ConfigError("there are none to fit on.", where="problems", remedy="Raise --problems.")
    return sum(steps) / len(steps)


def _labelled(checked: Checked) -> LabelledSolution:
    correct = checked.on_right_prefix
    return LabelledSolution(scores=checked.scores or (), first_error=None if correct[-1] else len(correct) - 1)
