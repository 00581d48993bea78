"""`steproute train`: make a policy from data, as an artefact that `eval` and `solve` take by its folder."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from steproute.artifacts import Artifact, write_artifact
from steproute.bench.datasets import Fields, load_problems
from steproute.bench.labelled import read_labelled
from steproute.cli.options import AnswerField, IdField, QuestionField
from steproute.cli.terminal import Terminal
from steproute.config import embedded_roles, lab_cast
from steproute.core.errors import ConfigError, DatasetError
from steproute.core.problem import Problem
from steproute.engine.cast import Cast
from steproute.engine.step_tree import StepTree
from steproute.lab.trim_world.world import is_trim_world
from steproute.learn.lab_fit import costs_for, fit_on_lab
from steproute.learn.labelled_fit import fit_on_labelled
from steproute.learn.plan import plan
from steproute.learn.pomdp_fit import LabelledSolution
from steproute.learn.pomdp_reference import embedded_reference
from steproute.learn.query_fit import fit_classifier, fit_similarity
from steproute.learn.rollouts import solve_all
from steproute.policies.pomdp import Belief, PomdpFamily
from steproute.policies.step_pomdp import StepPomdp
from steproute.policies.stored import (
    AGG,
    AGG_CONFIDENCE,
    POMDP,
    QUERY_CLASSIFIER,
    QUERY_SW,
    SEQ,
    network_artifact,
    pomdp_artifact,
    query_artifact,
)
from steproute.strategies.single import Single

_TREE_WIDTH = 2
_TRAINED = (POMDP, AGG, AGG_CONFIDENCE, SEQ, QUERY_SW, QUERY_CLASSIFIER)


def train(
    policy: Annotated[str, typer.Option(help="pomdp, agg, agg-confidence, seq, query-sw or query-classifier.")] = POMDP,
    data: Annotated[
        str, typer.Option(help="lab:train or trim-world:train; pomdp: or a .jsonl of problem, steps, label and scores.")
    ] = "lab:train",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    problems: Annotated[int, typer.Option(help="How many of them.")] = 2000,
    strong_accuracy: Annotated[
        float, typer.Option(help="pomdp from labelled steps: share of strong's steps that are right.")
    ] = 0.9704,
    step_tokens: Annotated[float, typer.Option(help="pomdp from labelled steps: tokens of a strong step.")] = 60.0,
    belief: Annotated[
        str,
        typer.Option(
            help="pomdp: filter, which remembers earlier scores and decisions, or posterior, the reference's, from the "
            "newest observation alone."
        ),
    ] = "filter",
    lam: Annotated[
        float | None,
        typer.Option(help="agg, seq: λ, right answers a strong token is worth; one policy for all if left out."),
    ] = None,
    passes: Annotated[int, typer.Option(help="agg, seq: passes over the problems.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    tree: Annotated[
        Path, typer.Option(help="agg, seq: file of the step tree; a rerun over the same tree calls no model twice.")
    ] = Path("runs/tree.jsonl.zst"),
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact; runs/POLICY if left out.")] = None,
) -> None:
    """Train a policy on the lab's models: TRIM-POMDP by fit and plan, TRIM-Agg and TRIM-Seq by PPO over a step tree,
    the query-level predictors by which problems weak solves.

    Example: steproute train --policy pomdp --problems 2000 --out runs/pomdp
    """
    if policy not in _TRAINED:
        raise ConfigError(f"policy: {policy!r} has nothing to train. Use one of {', '.join(_TRAINED)}.")
    labelled = policy == POMDP and Path(data).suffix in (".jsonl", ".gz")
    if not data.startswith("lab") and not is_trim_world(data) and not labelled:
        raise ConfigError(f"data: {data!r} cannot be solved by the embedded models. Use lab:train or trim-world:train.")
    if belief not in get_args(Belief):
        raise ConfigError(f"belief: {belief!r} is unknown. Use one of {', '.join(get_args(Belief))}.")
    console, fields = Terminal(), Fields(question_field, answer_field, id_field)
    facts: dict[str, Any] = {"data": data, "problems": problems, "seed": seed}
    if labelled:
        artifact = _plan(_fit_labelled(Path(data), strong_accuracy, step_tokens), belief, facts, console)
    elif policy == POMDP and is_trim_world(data):
        artifact = _plan(embedded_reference(), belief, {"data": data}, console)
    elif policy == POMDP:
        with console.status(f"solving {problems} problems"):
            model = asyncio.run(fit_on_lab(lab_cast(), load_problems(data, problems, seed, fields), seed))
        artifact = _plan(model, belief, facts, console)
    elif policy in (QUERY_SW, QUERY_CLASSIFIER):
        chosen = load_problems(data, problems, seed, fields)
        artifact = _predict(policy, chosen, embedded_roles(data), seed, facts, console)
    else:
        chosen = load_problems(data, problems, seed, fields)
        artifact = _learn(policy, chosen, embedded_roles(data), (lam, passes, seed), tree, facts, console)
    folder = out or Path("runs") / policy
    write_artifact(artifact, folder)
    console.print(f"  {folder}", highlight=False)


def _fit_labelled(path: Path, strong_accuracy: float, step_tokens: float) -> StepPomdp:
    rows = read_labelled(path)
    unscored = next((number for number, row in enumerate(rows, 1) if row.scores is None), None)
    if unscored is not None:
        raise DatasetError(f"{path}, row {unscored}: scores: missing. Score the steps by your scorer first.")
    solutions = [LabelledSolution(scores=row.scores or (), first_wrong=row.first_wrong) for row in rows]
    return fit_on_labelled(solutions, strong_accuracy=strong_accuracy, step_tokens=step_tokens)


def _plan(model: StepPomdp, belief: str, facts: dict[str, Any], console: Terminal) -> Artifact:
    began = time.monotonic()
    made = plan(model, costs_for(model))
    console.print(
        f"p_w {model.weak_accuracy:.4f}  p_s {model.strong_accuracy:.4f}  {model.step_tokens:.1f} tokens a step  "
        f"gap {made.gap:.2g} of {model.task_reward:g}  planned in {time.monotonic() - began:.1f} s"
    )
    return pomdp_artifact(PomdpFamily(made, cast(Belief, belief)), facts)


def _predict(
    policy: str, problems: Sequence[Problem], roles: Cast, seed: int, facts: dict[str, Any], console: Terminal
) -> Artifact:
    with console.status(f"solving {len(problems)} problems"):
        traces = asyncio.run(solve_all(problems, roles, Single("weak"), seed))
    right = [trace.answer == problem.answer for problem, trace in zip(problems, traces, strict=True)]
    texts = [problem.text for problem in problems]
    try:
        family = fit_similarity(texts, right) if policy == QUERY_SW else fit_classifier(texts, right, seed)
    except ImportError as missing:
        raise ConfigError(f"policy: {policy} needs {missing.name}. Run: pip install 'steproute[learn]'.") from None
    console.print(f"weak solved {sum(right)} of {len(right)}")
    return query_artifact(family, {**facts, "weak_right": sum(right)})


def _learn(
    policy: str,
    problems: Sequence[Problem],
    roles: Cast,
    settings: tuple[float | None, int, int],
    path: Path,
    facts: dict[str, Any],
    console: Terminal,
) -> Artifact:
    try:
        from steproute.learn.networks import ARCHITECTURES
        from steproute.learn.ppo import PpoSettings, train_network
    except ImportError as missing:
        raise ConfigError(f"policy: {policy} needs {missing.name}. Run: pip install 'steproute[learn]'.") from None
    lam, passes, seed = settings
    chosen = PpoSettings(lam=None if lam is None else (lam, lam), passes=passes, seed=seed)
    began = time.monotonic()
    columns = TextColumn("training"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn()
    with StepTree(path, _TREE_WIDTH) as tree, Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=1.0)
        trained = train_network(
            ARCHITECTURES[policy],
            problems,
            tree.cast(roles),
            lambda problem, trace: trace.answer == problem.answer,
            chosen,
            lambda share: progress.update(bar, completed=share),
        )
        calls = f"{tree.called} of {tree.asked} model calls were computed, the others came from the tree"
    best = max(reward for _, reward in trained.rewards)
    family, seconds = trained.family, time.monotonic() - began
    console.print(f"λ {family.low:.2g} to {family.high:.2g}  held-out reward {best:.4f}  {seconds:.0f} s  {calls}")
    facts = {**facts, "passes": passes, "tree_width": _TREE_WIDTH, "rewards": trained.rewards}
    return network_artifact(policy, family, facts)
