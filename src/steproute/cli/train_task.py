"""What `steproute train` is to do: which way to train the options ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from steproute.artifacts import Artifact
from steproute.cli.estimate import print_most, print_training_estimate
from steproute.cli.scored_labels import ScoredLabels, holds_labels
from steproute.cli.terminal import Terminal
from steproute.cli.train_advantage import advantage
from steproute.cli.train_bank import BankSource
from steproute.cli.train_boundary import BOUNDARY_WIDTH, boundary
from steproute.cli.train_networks import mixture, network, predictor
from steproute.cli.train_pomdp import fit_on_lab_labels, fit_on_labels, fit_on_solutions, planned
from steproute.cli.train_run import RunFit
from steproute.cli.train_rungs import pomdp_with_rungs, rungs
from steproute.cli.training import Training, training_problems
from steproute.cli.training_tree import TREE_WIDTH, WIDE, tree_path
from steproute.config import Setup, is_world
from steproute.core.errors import ConfigError
from steproute.core.ports import StepsGrader
from steproute.evaluation.datasets import Fields
from steproute.lab.story import is_lab
from steproute.lab.trim_world.world import is_trim_world
from steproute.learn.advantage_rows import Label
from steproute.learn.lab_fit import Labels
from steproute.learn.pomdp_reference import embedded_reference
from steproute.policies.stored import ADVANTAGE, BOUNDARY, POMDP, QUERY_CLASSIFIER, QUERY_SW, RUNGS, STEER
from steproute.retrieval.example_bank import EXAMPLE_BANK
from steproute.strategies.second_chances import RESAMPLE

_QUERY: Final = (QUERY_SW, QUERY_CLASSIFIER)
_OF_TWO_ROLES: Final = (*_QUERY, STEER, ADVANTAGE, BOUNDARY)
_TREE_WIDTHS: Final = {ADVANTAGE: WIDE, BOUNDARY: BOUNDARY_WIDTH, RUNGS: WIDE}
_IN_TREE: Final = "What the step tree holds already is paid for."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of the command. embedded: whether the models are the lab's or TRIM's world's, without --config."""

    policy: str
    data: str
    fields: Fields
    embedded: bool
    problems: int | None
    run: Path | None
    labels: str | None
    margin: float
    strong_accuracy: float
    step_tokens: float
    belief: str
    rewriters: tuple[str, ...]
    width: int
    lam: float | None
    passes: int
    seed: int
    in_flight: int
    max_usd: float | None
    limit: Decimal | None
    tree: Path | None
    setup: Setup
    console: Terminal

    @property
    def in_trim_world(self) -> bool:
        """Whether the models are those of TRIM's world."""
        return self.embedded and is_trim_world(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTask:
    """One way to train. estimate: prints the expected cost; calls and writes nothing.

    tree: the step tree whose growth is paid for; None if there is no tree, or if the lab's models grow it.
    """

    estimate: Callable[[], None]
    train: Callable[[], Artifact]
    tree: Path | None = None


def train_task(options: TrainOptions) -> TrainTask:
    """The way to train that the options ask for. Raises ConfigError for options that do not fit together."""
    _check_rewriters(options)
    if options.policy == EXAMPLE_BANK:
        return _of_solved_steps(options)
    if options.run is not None:
        return _on_run(options, options.run)
    if options.policy != POMDP:
        return _on_problems(options)
    if holds_labels(options.data):
        return _on_labels(options)
    if options.in_trim_world:
        return _on_published_parameters(options)
    return _on_problems(options)


def _on_run(options: TrainOptions, folder: Path) -> TrainTask:
    fit = RunFit(
        folder=folder, setup=options.setup, fields=options.fields, max_usd=options.max_usd, console=options.console
    )
    if options.policy != POMDP:
        raise ConfigError(
            f"{options.policy} learns from solutions of its own.",
            where="run",
            remedy="Leave --run out, or train pomdp.",
        )

    def train() -> Artifact:
        model, facts = fit.fit()
        return planned(model, options.belief, facts, options.console)

    return TrainTask(estimate=fit.print_estimate, train=train)


def _of_solved_steps(options: TrainOptions) -> TrainTask:
    source = BankSource(
        data=options.data,
        run=options.run,
        problems=options.problems,
        seed=options.seed,
        fields=options.fields,
        console=options.console,
    )
    return TrainTask(estimate=lambda: print_most(()), train=source.artifact)


def _on_labels(options: TrainOptions) -> TrainTask:
    setup, data = options.setup, Path(options.data)
    scored = ScoredLabels(
        setup=setup, path=tree_path(options.tree, setup), in_flight=options.in_flight, limit=options.limit
    )
    facts = {"data": options.data, "seed": options.seed, "config_digest": setup.digest}

    def train() -> Artifact:
        model = fit_on_labels(scored.read(data), options.strong_accuracy, options.step_tokens)
        return planned(model, options.belief, facts, options.console)

    return TrainTask(estimate=lambda: print_most(scored.most(data), _IN_TREE), train=train, tree=scored.path)


def _on_published_parameters(options: TrainOptions) -> TrainTask:
    return TrainTask(
        estimate=lambda: print_most(()),
        train=lambda: planned(embedded_reference(), options.belief, {"data": options.data}, options.console),
    )


def _on_problems(options: TrainOptions) -> TrainTask:
    _check_solvable(options)
    learns_advantage, setup = options.policy == ADVANTAGE, options.setup
    labels: Labels = "outcomes" if learns_advantage else _labels(options)
    gold = not isinstance(setup.roles.grading.grader, StepsGrader)
    problems = training_problems(options.data, options.problems, options.seed, options.fields, gold=gold)
    training = Training(
        policy=options.policy,
        setup=setup,
        data=options.data,
        problems=setup.answer.on(problems),
        seed=options.seed,
        in_flight=options.in_flight,
        path=tree_path(options.tree, setup, _tree_width(options)),
        console=options.console,
        limit=options.limit,
        rewriters=options.rewriters,
        width=options.width,
    )
    return TrainTask(
        estimate=lambda: print_training_estimate(training, options.passes),
        train=lambda: _trained(training, labels, options),
        tree=None if options.embedded else training.path,
    )


def _trained(training: Training, labels: Labels, options: TrainOptions) -> Artifact:
    if training.policy in _QUERY:
        return predictor(training)
    if training.policy == ADVANTAGE:
        return advantage(training, cast(Label, options.labels or "rollouts"), options.margin)
    if training.policy == RUNGS:
        return rungs(training)
    if training.policy == STEER:
        return mixture(training)
    if training.policy == BOUNDARY:
        return boundary(training, options.lam, options.passes)
    if training.policy != POMDP:
        return network(training, options.lam, options.passes)
    if RESAMPLE in training.rewriters:
        _check_labelled_by_steps(labels)
        return planned(pomdp_with_rungs(training), options.belief, training.facts, training.console)
    on_lab = options.embedded and not is_world(options.data)
    model = fit_on_lab_labels(training, labels) if on_lab else fit_on_solutions(training)
    return planned(model, options.belief, {**training.facts, "labels": labels}, training.console)


def _check_rewriters(options: TrainOptions) -> None:
    if options.rewriters == ("strong",):
        return
    if options.policy in _OF_TWO_ROLES or options.run is not None or holds_labels(options.data):
        raise ConfigError(
            "other roles than weak and strong need a policy that chooses among them, and problems for them to solve.",
            where="roles",
            remedy="Leave --roles out, or train pomdp, agg or seq on the lab or with --config.",
        )


def _check_solvable(options: TrainOptions) -> None:
    if options.embedded and not any(known(options.data) for known in (is_lab, is_trim_world, is_world)):
        raise ConfigError(
            f"{options.data!r} cannot be solved by the embedded models.",
            where="data",
            remedy="Use lab:train, trim-world:train or house:train, or give your models with --config.",
        )


def _tree_width(options: TrainOptions) -> int:
    surveys = options.policy == POMDP and RESAMPLE in options.rewriters
    return WIDE if surveys else _TREE_WIDTHS.get(options.policy, TREE_WIDTH)


def _check_labelled_by_steps(labels: Labels) -> None:
    if labels != "steps":
        raise ConfigError(
            "pomdp fits the rung resample to labels of steps, which only the bundled lab has.",
            where="roles",
            remedy="Leave resample out, or train the policy rungs.",
        )


def _labels(options: TrainOptions) -> Labels:
    """Steps by default if the lab's checker can label them, else outcomes."""
    checkable = options.embedded and is_lab(options.data)
    labels = cast(Labels, options.labels or ("steps" if checkable else "outcomes"))
    if labels == "steps" and not checkable:
        raise ConfigError(
            "steps need a checker, which only the bundled lab has.", where="labels", remedy="Use outcomes."
        )
    return labels
