"""`steproute train`: train a policy and write it to a folder that `eval` and `solve` take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import typer

from steproute.artifacts import Artifact, write_artifact
from steproute.cli.estimate import print_most, print_training_estimate
from steproute.cli.options import AnswerField, Config, Estimate, IdField, InFlight, MaxUsd, QuestionField, Seed
from steproute.cli.scored_labels import ScoredLabels, holds_labels
from steproute.cli.spending import checked_limit, journal_of
from steproute.cli.terminal import Terminal
from steproute.cli.train_networks import network, predictor
from steproute.cli.train_pomdp import (
    fit_on_lab_labels,
    fit_on_labels,
    fit_on_solutions,
    planned,
)
from steproute.cli.train_run import RunFit
from steproute.cli.training import Training, training_problems
from steproute.cli.training_tree import tree_path
from steproute.config import Setup, read_setup
from steproute.core.errors import ConfigError
from steproute.engine.paid_journal import paid_so_far
from steproute.evaluation.datasets import Fields
from steproute.evaluation.summary_text import paid_for
from steproute.lab.story import is_lab
from steproute.lab.trim_world.world import is_trim_world
from steproute.learn.lab_fit import Labels
from steproute.learn.pomdp_reference import embedded_reference
from steproute.policies.stored import AGG, AGG_CONFIDENCE, POMDP, QUERY_CLASSIFIER, QUERY_SW, SEQ
from steproute.policies.trim.pomdp_policy import Belief

_IN_TREE: Final = "What the step tree holds already is paid for."
_TRAINED = (POMDP, AGG, AGG_CONFIDENCE, SEQ, QUERY_SW, QUERY_CLASSIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One way to train. estimate: prints the expected cost; calls and writes nothing.

    tree: the step tree whose growth is paid for; None if there is no tree, or if the lab's models grow it.
    """

    estimate: Callable[[], None]
    train: Callable[[], Artifact]
    tree: Path | None = None


def train(
    policy: Annotated[str, typer.Option(help="pomdp, agg, agg-confidence, seq, query-sw or query-classifier.")] = POMDP,
    data: Annotated[
        str,
        typer.Option(
            help="Problems with gold answers: lab:train, a benchmark or a .jsonl; without --config lab or trim-world. "
            "pomdp also takes a .jsonl of problem, steps, label and scores."
        ),
    ] = "lab:train",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    config: Config = None,
    problems: Annotated[int | None, typer.Option(help="Number of problems. Default: all; 2000 of the lab.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="pomdp: use the solutions and verdicts of this run of `eval`, which includes the knob 0. "
            "No model is called, except a judge for solutions without a verdict."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="pomdp: outcomes (whether final answers are correct) or steps (labels of the lab's checker). "
            "Default: steps on the lab, otherwise outcomes."
        ),
    ] = None,
    strong_accuracy: Annotated[
        float, typer.Option(help="pomdp from labelled steps: share of the strong model's steps that are correct.")
    ] = 0.9704,
    step_tokens: Annotated[float, typer.Option(help="pomdp from labelled steps: mean tokens of a strong step.")] = 60.0,
    belief: Annotated[
        str,
        typer.Option(
            help="pomdp: filter (uses all earlier scores and decisions) or posterior (uses the newest observation "
            "only, like the reference)."
        ),
    ] = "filter",
    roles: Annotated[
        str,
        typer.Option(
            help="pomdp on the lab or with --config: weak, and the roles that can write its steps again, with commas."
        ),
    ] = "weak,strong",
    lam: Annotated[
        float | None,
        typer.Option(
            help="agg, seq: λ, the cost of a strong token in correct answers. Default: one policy for every λ."
        ),
    ] = None,
    passes: Annotated[int, typer.Option(help="agg, seq: passes over the problems.")] = 10,
    seed: Seed = 0,
    in_flight: InFlight = 64,
    max_usd: MaxUsd = None,
    estimate: Estimate = False,
    tree: Annotated[
        Path | None,
        typer.Option(
            help="File of the step tree. A rerun over the same tree calls no model twice. Default: a file in runs/, "
            "one for the lab and one for each steproute.toml."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact. Default: runs/POLICY.")] = None,
) -> None:
    """Train a policy on your models or on the lab's, and write it to a folder.

    TRIM-POMDP is fitted and planned, TRIM-Agg and TRIM-Seq are trained by PPO over a step tree. The query-level
    policies learn which problems the weak model solves. Limits come from the configuration file. A rerun continues
    where the last one stopped.

    Example: steproute train --policy pomdp --problems 2000 --out runs/pomdp
    """
    _check_choice("policy", policy, _TRAINED)
    _check_choice("belief", belief, get_args(Belief))
    _check_choice("labels", labels, (None, *get_args(Labels)))
    console, setup = Terminal(), read_setup(config, data)
    rewriters = _rewriters(roles, setup)
    fields = Fields(question_field, answer_field, id_field)
    limit = checked_limit(max_usd, setup.roles)
    embedded = is_trim_world(data) and config is None
    if rewriters != ("strong",) and (policy != POMDP or run is not None or holds_labels(data) or embedded):
        raise ConfigError(
            "only TRIM-POMDP has other roles, and each has to solve the problems.",
            where="roles",
            remedy="Leave --roles out, or train pomdp on the lab or with --config.",
        )
    if run is not None:
        task = _on_run(
            RunFit(folder=run, setup=setup, fields=fields, max_usd=max_usd, console=console), policy, belief, console
        )
    elif policy == POMDP and holds_labels(data):
        scored = ScoredLabels(setup=setup, path=tree_path(tree, setup), in_flight=in_flight, limit=limit)
        facts = {"data": data, "seed": seed, "config_digest": setup.digest}
        task = _Task(
            estimate=lambda: print_most(scored.most(Path(data)), _IN_TREE),
            train=lambda: planned(
                fit_on_labels(scored.read(Path(data)), strong_accuracy, step_tokens), belief, facts, console
            ),
            tree=scored.path,
        )
    elif policy == POMDP and embedded:
        task = _Task(
            estimate=lambda: print_most(()),
            train=lambda: planned(embedded_reference(), belief, {"data": data}, console),
        )
    else:
        _check_solvable(data, config)
        kind = cast(Labels, labels or ("steps" if config is None and is_lab(data) else "outcomes"))
        if kind == "steps" and (config is not None or not is_lab(data)):
            raise ConfigError(
                "steps need a checker, which only the bundled lab has.", where="labels", remedy="Use outcomes."
            )
        training = Training(
            policy=policy,
            setup=setup,
            data=data,
            problems=setup.answer.on(training_problems(data, problems, seed, fields)),
            seed=seed,
            in_flight=in_flight,
            path=tree_path(tree, setup),
            console=console,
            limit=limit,
            rewriters=rewriters,
        )
        task = _Task(
            estimate=lambda: print_training_estimate(training, passes),
            train=lambda: _trained(training, kind, belief, lam, passes, lab=config is None),
            tree=None if config is None else training.path,
        )
    if estimate:
        task.estimate()
        return
    before = _paid(task.tree)
    artifact = task.train()
    if task.tree is not None:
        _print_bill(console, before, _paid(task.tree))
    folder = out or Path("runs") / policy
    write_artifact(artifact, folder)
    console.print(f"  {folder}", highlight=False)


def _rewriters(text: str, setup: Setup) -> tuple[str, ...]:
    drafter, *rewriters = (part.strip() for part in text.split(","))
    if drafter != "weak" or not rewriters or len({drafter, *rewriters}) <= len(rewriters):
        raise ConfigError(
            f"{text!r} is not weak and then other roles, each once.",
            where="roles",
            remedy="Give them with commas, such as weak,mid,strong.",
        )
    for role in rewriters:
        setup.roles.model(role)
    return tuple(rewriters)


def _paid(tree: Path | None) -> Decimal:
    """Dollars that growing a tree has cost so far."""
    return Decimal(0) if tree is None else paid_so_far(journal_of(tree))


def _print_bill(console: Terminal, before: Decimal, after: Decimal) -> None:
    parts = {"now": float(after - before), "by earlier commands over the same step tree": float(before)}
    console.print(paid_for(parts), highlight=False, soft_wrap=True)


def _trained(training: Training, labels: Labels, belief: str, lam: float | None, passes: int, *, lab: bool) -> Artifact:
    if training.policy in (QUERY_SW, QUERY_CLASSIFIER):
        return predictor(training)
    if training.policy != POMDP:
        return network(training, lam, passes)
    model = fit_on_lab_labels(training, labels) if lab else fit_on_solutions(training)
    return planned(model, belief, {**training.facts, "labels": labels}, training.console)


def _on_run(fit: RunFit, policy: str, belief: str, console: Terminal) -> _Task:
    if policy != POMDP:
        raise ConfigError(
            f"{policy} learns from solutions of its own.", where="run", remedy="Leave --run out, or train pomdp."
        )

    def train() -> Artifact:
        model, facts = fit.fit()
        return planned(model, belief, facts, console)

    return _Task(estimate=fit.print_estimate, train=train)


def _check_choice(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    if value not in choices:
        what = "has nothing to train" if name == "policy" else "is unknown"
        raise ConfigError(f"{value!r} {what}.", where=name, remedy=f"Use one of {', '.join(filter(None, choices))}.")


def _check_solvable(data: str, config: Path | None) -> None:
    if config is None and not is_lab(data) and not is_trim_world(data):
        raise ConfigError(
            f"{data!r} cannot be solved by the embedded models.",
            where="data",
            remedy="Use lab:train or trim-world:train, or give your models with --config.",
        )
