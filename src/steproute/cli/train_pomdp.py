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
from steproute.learn.outcome_traces import WeakScored, fit_on_traces, graded
from steproute.learn.plan import plan
from steproute.learn.pomdp_fit import LabelledSolution
from steproute.policies.stored import pomdp_artifact
from steproute.policies.trim.pomdp_model import StepPomdp
from steproute.policies.trim.pomdp_policy import Belief, PomdpFamily
from steproute.strategies.single import Single


def fit_on_solutions(training: Training) -> StepPomdp:
    """Solve the problems by the weak model, with scores, and by the strong model; only final answers are graded."""
    weak, strong = training.solved([WeakScored(), Single("strong")])
    problems = {problem.id: problem for problem in training.problems}
    with training.grade() as grade:
        found = asyncio.run(graded([*weak, *strong], problems, grade))
        return fit_on_traces(found[: len(weak)], found[len(weak) :])


def fit_on_lab_labels(training: Training, labels: Labels) -> StepPomdp:
    """The lab's own models on its own problems."""
    with training.console.status(f"solving {len(training.problems)} problems"):
        roles = limited(lab_roles(), SpendingLimit(training.limit))
        return asyncio.run(fit_on_lab(roles, training.problems, training.seed, labels))


def fit_on_labels(rows: Sequence[Labelled], strong_accuracy: float, step_tokens: float) -> StepPomdp:
    """From scored solutions whose first incorrect step is known."""
    solutions = [LabelledSolution(scores=row.scores or (), first_error=row.first_error) for row in rows]
    return fit_on_labelled(solutions, strong_accuracy=strong_accuracy, step_tokens=step_tokens)


def planned(model: StepPomdp, belief: str, facts: Mapping[str, Any], console: Terminal) -> Artifact:
    """The plan for every cost, as an artefact."""
    began = time.monotonic()
    family = PomdpFamily(plan(model, costs_for(model)), cast(Belief, belief))
    console.print(
        f"p_w {model.weak_accuracy:.4f}  p_s {model.strong_accuracy:.4f}  {model.step_tokens:.1f} tokens per step  "
        f"gap {family.plan.gap:.2g} of {model.task_reward:g}  planned in {time.monotonic() - began:.1f} s"
    )
    console.print(f"knobs 1, which spends least, to {len(family.knobs)}, which spends most", highlight=False)
    return pomdp_artifact(family, dict(facts))
