"""`steproute train`: train a policy and write it to a folder that `eval` and `solve` take."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, get_args

import typer

from steproute.artifacts import write_artifact
from steproute.cli.options import AnswerField, Config, Estimate, IdField, InFlight, MaxUsd, QuestionField, Seed, names
from steproute.cli.spending import checked_limit, journal_of
from steproute.cli.terminal import Terminal
from steproute.cli.train_routes import PREDICTORS, ROUTES, RouteTraining
from steproute.cli.train_task import TrainOptions, train_task
from steproute.config import Setup, read_setup
from steproute.core.errors import ConfigError
from steproute.engine.paid_journal import paid_so_far
from steproute.evaluation.datasets import Fields
from steproute.evaluation.summary_text import paid_for
from steproute.learn.advantage_rows import Label
from steproute.learn.lab_fit import Labels
from steproute.policies.route_table_file import SEPARATE
from steproute.policies.stored import (
    ADVANTAGE,
    AGG,
    AGG_CONFIDENCE,
    BOUNDARY,
    POMDP,
    QUERY_CLASSIFIER,
    QUERY_SW,
    RUNGS,
    SEQ,
    STEER,
)
from steproute.policies.trim.pomdp_policy import Belief
from steproute.retrieval.example_bank import EXAMPLE_BANK
from steproute.strategies.second_chances import RESAMPLE

_TRAINED = (
    POMDP,
    AGG,
    AGG_CONFIDENCE,
    SEQ,
    ADVANTAGE,
    QUERY_SW,
    QUERY_CLASSIFIER,
    STEER,
    BOUNDARY,
    RUNGS,
    EXAMPLE_BANK,
    ROUTES,
)
_WITH_RUNGS = (RUNGS, POMDP, AGG, AGG_CONFIDENCE, SEQ)


def train(
    policy: Annotated[
        str,
        typer.Option(
            help="pomdp, agg, agg-confidence, seq, advantage, query-sw, query-classifier, steer, boundary, rungs, "
            "example-bank or routes."
        ),
    ] = POMDP,
    data: Annotated[
        str,
        typer.Option(
            help="Problems with gold answers: lab:train, a benchmark or a .jsonl; without --config lab or a world. "
            "pomdp also takes a .jsonl of problem, steps, label and scores, and example-bank one without scores."
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
            "No model is called, except a judge for solutions without a verdict. example-bank: use its correct "
            "solutions, no model is called."
        ),
    ] = None,
    runs: Annotated[
        str, typer.Option(help="routes: finished runs of `eval` or `compare`, with commas. No model is called.")
    ] = "",
    add: Annotated[
        Path | None,
        typer.Option(help="routes: add the new routes of this run to the table in --out, and change nothing else."),
    ] = None,
    predictor: Annotated[
        str,
        typer.Option(
            help="routes: separate (one predictor per route) or joint (one network, trained again as a whole)."
        ),
    ] = SEPARATE,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            "--label",
            help="pomdp: outcomes (whether final answers are correct) or steps (labels of the lab's checker). "
            "Default: steps on the lab, otherwise outcomes. advantage: which step is better by rollouts (the default: "
            "how often the weak model gets the answer right from there), prm, or checker (the lab only).",
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="advantage: by how much the strong model's step must be better.", min=0.0, max=1.0)
    ] = 0.0,
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
            help="pomdp on the lab or with --config, agg, agg-confidence, seq, rungs: weak, and the roles that can "
            "write its steps again, with commas. resample may be among them (pomdp: on the lab), for second-chances."
        ),
    ] = "weak,strong",
    width: Annotated[int, typer.Option(help="Drafts of the rung resample.", min=1)] = 4,
    lam: Annotated[
        float | None,
        typer.Option(
            help="agg, seq: λ, the cost of a strong token in correct answers; boundary: that of always-strong. "
            "Default: one policy for every λ."
        ),
    ] = None,
    passes: Annotated[int, typer.Option(help="agg, seq, boundary: passes over the problems.")] = 10,
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
    policies learn which problems the weak model solves, and advantage learns at which steps the strong model is better.
    boundary learns which steps need the strong model, before they are written. Tables of rungs are fitted by dollars to
    what every rung writes at each step. An example bank holds solved steps for the strategy booststep. routes learns
    what each route reaches and spends, from finished runs. Limits come from the configuration file. A rerun continues
    where the last one stopped.

    Example: steproute train --policy pomdp --problems 2000 --out runs/pomdp
    """
    _check_choice("policy", policy, _TRAINED)
    _check_choice("belief", belief, get_args(Belief))
    _check_choice("labels", labels, (None, *get_args(Label if policy == ADVANTAGE else Labels)))
    _check_choice("predictor", predictor, PREDICTORS)
    folder, console, fields = out or Path("runs") / policy, Terminal(), Fields(question_field, answer_field, id_field)
    if policy == ROUTES or runs or add is not None:
        _train_routes(RouteTraining(fields=fields, seed=seed, console=console), policy, runs, add, predictor, folder)
        return
    setup = read_setup(config, data)
    options = TrainOptions(
        policy=policy,
        data=data,
        fields=fields,
        embedded=config is None,
        problems=problems,
        run=run,
        labels=labels,
        margin=margin,
        strong_accuracy=strong_accuracy,
        step_tokens=step_tokens,
        belief=belief,
        rewriters=_rewriters(roles, setup, policy),
        width=width,
        lam=lam,
        passes=passes,
        seed=seed,
        in_flight=in_flight,
        max_usd=max_usd,
        limit=checked_limit(max_usd, setup.roles),
        tree=tree,
        setup=setup,
        console=console,
    )
    task = train_task(options)
    if estimate:
        task.estimate()
        return
    before = _paid(task.tree)
    artifact = task.train()
    if task.tree is not None:
        _print_bill(console, before, _paid(task.tree))
    write_artifact(artifact, folder)
    console.print(f"  {folder}", highlight=False)


def _train_routes(
    training: RouteTraining, policy: str, runs: str, add: Path | None, predictor: str, folder: Path
) -> None:
    """Raises ConfigError for options that do not fit together."""
    if policy != ROUTES or bool(runs) == (add is not None):
        raise ConfigError(
            "routes are trained on either --runs or --add, and nothing else is.",
            where="policy",
            remedy="Write --policy routes --runs runs/a,runs/b, or --policy routes --add runs/c.",
        )
    if add is not None:
        training.add(add, folder)
    else:
        training.train([Path(run) for run in names("runs", runs)], predictor, folder)


def _rewriters(text: str, setup: Setup, policy: str) -> tuple[str, ...]:
    drafter, *rewriters = (part.strip() for part in text.split(","))
    if drafter != "weak" or not rewriters or len({drafter, *rewriters}) <= len(rewriters):
        raise ConfigError(
            f"{text!r} is not weak and then other roles, each once.",
            where="roles",
            remedy="Give them with commas, such as weak,mid,strong.",
        )
    for role in rewriters:
        if policy not in _WITH_RUNGS or role != RESAMPLE:
            setup.roles.model(role)
    return tuple(rewriters)


def _paid(tree: Path | None) -> Decimal:
    """Dollars that growing a tree has cost so far."""
    return Decimal(0) if tree is None else paid_so_far(journal_of(tree))


def _print_bill(console: Terminal, before: Decimal, after: Decimal) -> None:
    parts = {"now": float(after - before), "by earlier commands over the same step tree": float(before)}
    console.print(paid_for(parts), highlight=False, soft_wrap=True)


def _check_choice(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    if value not in choices:
        what = "has nothing to train" if name == "policy" else "is unknown"
        raise ConfigError(f"{value!r} {what}.", where=name, remedy=f"Use one of {', '.join(filter(None, choices))}.")
