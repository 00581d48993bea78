"""TRIM-POMDP's parameters from what there is: a run, labelled solutions, the lab's checker, or answers alone."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from steproute.artifacts import Artifact
from steproute.bench.datasets import load_problems
from steproute.bench.labelled import Labelled
from steproute.cli.terminal import Terminal
from steproute.cli.training import Training
from steproute.config import Setup, lab_cast
from steproute.core.errors import ConfigError
from steproute.engine.grade_book import GradeBook
from steproute.engine.run_folder import run_document
from steproute.engine.spending import SpendingLimit, limited
from steproute.engine.trace_file import iterate_traces
from steproute.learn.lab_fit import Labels, costs_for, fit_on_lab
from steproute.learn.labelled_fit import fit_on_labelled
from steproute.learn.outcome_traces import SoloTraces, WeakScored, fit_on_traces, solo_traces
from steproute.learn.plan import plan
from steproute.learn.pomdp_fit import LabelledSolution
from steproute.learn.rollouts import answer_grade
from steproute.policies.pomdp import Belief, PomdpFamily
from steproute.policies.step_pomdp import StepPomdp
from steproute.policies.stored import pomdp_artifact
from steproute.strategies.single import Single


def fit_on_solutions(training: Training) -> StepPomdp:
    """Solve the problems by the weak model, scored, and by the strong one; answers alone are graded."""
    weak, strong = training.solved([WeakScored(), Single("strong")])
    problems = {problem.id: problem for problem in training.problems}
    with training.grade() as grade:
        return asyncio.run(fit_on_traces(SoloTraces(weak=weak, strong=strong), problems, grade))


def fit_on_run(folder: Path, setup: Setup) -> tuple[StepPomdp, dict[str, Any]]:
    """The same from the traces of a run, without a call; and what the artefact says of it.

    setup: of the models that the policy is for; without a steproute.toml they are those of the run. Raises
    ConfigError for another's run, DatasetError for one that lacks such traces.
    """
    document = run_document(folder)
    digest = str(document.get("config_digest", ""))
    if setup.digest and setup.digest != digest:
        raise ConfigError(
            f"run: {folder} is of other models or scorers than this steproute.toml. Give the file that it was made "
            "with, or leave --config out."
        )
    data, count, seed = document["data"], document.get("problems"), document["seed"]
    problems = {problem.id: problem for problem in setup.answer.on(load_problems(data, count, seed))}
    traces = (trace for trace in iterate_traces(folder / "traces.jsonl.zst") if trace.problem_id in problems)
    solo = solo_traces(traces, str(folder))
    with GradeBook(setup.roles.grading) as book:
        model = asyncio.run(fit_on_traces(solo, problems, answer_grade(book)))
    facts = {"data": data, "problems": len(solo.weak), "seed": seed, "run": str(folder), "config_digest": digest}
    return model, facts


def fit_on_lab_labels(training: Training, labels: Labels) -> StepPomdp:
    """The lab's own models on its own problems."""
    with training.console.status(f"solving {len(training.problems)} problems"):
        roles = limited(lab_cast(), SpendingLimit(training.limit))
        return asyncio.run(fit_on_lab(roles, training.problems, training.seed, labels))


def fit_on_labels(rows: Sequence[Labelled], strong_accuracy: float, step_tokens: float) -> StepPomdp:
    """From scored solutions whose first incorrect step is known."""
    solutions = [LabelledSolution(scores=row.scores or (), first_wrong=row.first_wrong) for row in rows]
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
