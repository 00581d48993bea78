"""Fit TRIM-POMDP's parameters to labelled solutions, to the lab's checker, or to final answers alone."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from steproute.artifacts import Artifact
from steproute.cli.terminal import Terminal
from steproute.cli.training import Training
from steproute.config import lab_roles
from steproute.engine.spending import SpendingLimit, limited
from steproute.evaluation.labelled import Labelled
from steproute.learn.lab_fit import Labels, costs_for, fit_on_lab
from steproute.learn.labelled_fit import fit_on_labelled
from steproute.learn.outcome_traces import Graded, WeakScored, fit_on_traces, graded
from steproute.learn.plan import plan
from steproute.learn.pomdp_fit import LabelledSolution
from steproute.learn.rollouts import Grade
from steproute.policies.stored import pomdp_artifact
from steproute.policies.trim.pomdp_model import StepPomdp
from steproute.policies.trim.pomdp_policy import Belief, PomdpFamily
from steproute.strategies.single import Single


def fit_on_solutions(training: Training) -> StepPomdp:
    """Solve the problems by the weak model, with scores, and by each rewriter; only final answers are graded."""
    solved = training.solved([WeakScored(), *(Single(role) for role in training.rewriters)])
    problems = {problem.id: problem for problem in training.problems}
    models = training.setup.roles.models

    async def grade_all(grade: Grade) -> list[list[Graded]]:
        return [await graded(traces, problems, grade) for traces in solved]

    with training.grade() as grade:
        weak, *others = asyncio.run(grade_all(grade))
    prices = {role: models[role].price for role in training.rewriters}
    return fit_on_traces(weak, dict(zip(training.rewriters, others, strict=True)), prices)


def fit_on_lab_labels(training: Training, labels: Labels) -> StepPomdp:
    """The lab's own models on its own problems."""
    with training.console.status(f"solving {len(training.problems)} problems"):
        roles = limited(lab_roles(), SpendingLimit(training.limit))
        return asyncio.run(fit_on_lab(roles, training.problems, training.seed, labels, training.rewriters))


def fit_on_labels(rows: Sequence[Labelled], strong_accuracy: float, step_tokens: float) -> StepPomdp:
    """From scored solutions whose first incorrect step is known."""
    solutions = [LabelledSolution(scores=row.scores or (), first_error=row.first_error) for row in rows]
    return fit_on_labelled(solutions, strong_accuracy=strong_accuracy, step_tokens=step_tokens)


def planned(model: StepPomdp, belief: str, facts: Mapping[str, Any], console: Terminal) -> Artifact:
    """The plan for every cost, as an artefact."""
    began = time.monotonic()
    family = PomdpFamily(plan(model, costs_for(model)), cast(Belief, belief))
    rewriters = model.rewriters
    if len(rewriters) > 1:
        accuracies = "  ".join(f"{each.name} {each.accuracy:.4f} at {each.relative_cost:.0%}" for each in rewriters)
    else:
        accuracies = f"p_s {rewriters[0].accuracy:.4f}"
    console.print(
        f"p_w {model.weak_accuracy:.4f}  {accuracies}  {model.step_tokens:.1f} tokens per step  "
        f"gap {family.plan.gap:.2g} of {model.task_reward:g}  planned in {time.monotonic() - began:.1f} s"
    )
    console.print(f"knobs 1, which spends least, to {len(family.knobs)}, which spends most", highlight=False)
    return pomdp_artifact(family, dict(facts))
