"""Train Arbitrage's predictor: walk the problems with both models over the step tree, then fit."""

import time
from dataclasses import asdict
from decimal import Decimal
from typing import Final

import typer

from steproute.artifacts import Artifact
from steproute.cli.stopping import INTERRUPTED, Stopped, run_until_stopped
from steproute.cli.train_networks import missing_package
from steproute.cli.training import Training, progress_bar
from steproute.cli.training_tree import WIDE, training_tree
from steproute.core.errors import ConfigError
from steproute.core.ports import CAPABILITIES
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.roles import Roles
from steproute.lab.checking_scorer import CHECKER
from steproute.learn.advantage import LEAST_AGREEMENT, AdvantageFigures, fit_advantage
from steproute.learn.advantage_rows import AdvantageRow, Label, PairWalk
from steproute.learn.rollouts import Grade, solve_all
from steproute.policies.stored import advantage_artifact

_HELD_OUT: Final = 5  # every fifth problem


def advantage(training: Training, label: Label, margin: float) -> Artifact:
    """The predictor of `label`. Raises ConfigError if a package is missing, DatasetError for too few steps."""
    began = time.monotonic()
    rows = walked(training, label)
    walked_at = time.monotonic()
    confident = CAPABILITIES.of(training.setup.roles.model("weak").model).logprobs
    try:
        family, figures = fit_advantage(rows, label, margin, training.seed, confident=confident)
    except ImportError as missing:
        raise missing_package(training.policy, missing) from None
    _print_figures(training, label, figures, (walked_at - began, time.monotonic() - walked_at))
    facts = {**training.facts, "label": label, "margin": margin, "figures": asdict(figures)}
    return advantage_artifact(family, facts)


def walked(training: Training, label: Label) -> list[AdvantageRow]:
    """The rows of every problem that did not fail, with a progress bar on stderr. Raises as `Training.solved`."""
    grown = training_tree(training.path, training.setup, training.limit, WIDE)
    with grown as (tree, roles), training.grade_by(roles) as grade:
        walk = pair_walk(training, label, grade)
        training.check_needs([walk])
        traces = training.without_failed(_solved(training, roles, walk))
        calls = f"{tree.computations} of {tree.requests} model calls were computed, the others came from the tree"
    training.console.print(calls, highlight=False)
    kept = {trace.problem_id for trace in traces}
    return [row for problem_id, rows in walk.rows.items() if writable(problem_id) in kept for row in rows]


def pair_walk(training: Training, label: Label, grade: Grade) -> PairWalk:
    """Every second problem goes with the oracle, every fifth is held out; the embedded worlds have a checker.

    Raises ConfigError for the label `checker` without one.
    """
    names = [problem.id for problem in training.problems]
    checks = CHECKER in training.setup.roles.scorers
    if label == CHECKER and not checks:
        raise ConfigError(
            "steps need a checker, which only the embedded worlds have.", where="labels", remedy="Use rollouts."
        )
    return PairWalk(
        label=label,
        grade=grade,
        oracle=frozenset(names[::2]),
        held_out=frozenset(names[::_HELD_OUT]),
        checks=checks,
        seed=training.seed,
    )


def _solved(training: Training, roles: Roles, walk: PairWalk) -> list[Trace]:
    spent = Decimal(0)
    with progress_bar(training.setup.roles) as progress:
        task = progress.add_task("walking", total=len(training.problems))

        def advance(trace: Trace) -> None:
            nonlocal spent
            spent += trace.cost_usd
            progress.update(task, advance=1, description=f"walking  ${spent:.4f}")

        limits = training.setup.limits.without_fallbacks
        work = solve_all(
            training.problems, roles, walk, training.seed, limits=limits, in_flight=training.in_flight, on_trace=advance
        )
        try:
            return run_until_stopped(work)
        except Stopped as stopped:
            progress.console.print(INTERRUPTED)
            raise typer.Exit(stopped.exit_code) from None


def _print_figures(training: Training, label: Label, figures: AdvantageFigures, seconds: tuple[float, float]) -> None:
    console, by_label = training.console, f"Δ by {label}"
    console.print(
        f"{figures.rows} steps, {figures.held_out} of them held out  the strong model's is better at "
        f"{figures.base_rate:.1%}  |Δ| < 0.01 at {figures.near_zero:.1%}",
        highlight=False,
    )
    console.print(
        f"ρ with {by_label}: ŷ {_shown(figures.rho)}, 1 − r {_shown(figures.rho_score)}  with Δ by rollouts: ŷ "
        f"{_shown(figures.rho_rollouts)}, 1 − r {_shown(figures.rho_score_rollouts)}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"accuracy of y = 0 {_shown(figures.accuracy_of_0)}, of y = 1 {_shown(figures.accuracy_of_1)}  AUC for savable "
        f"steps: ŷ {_shown(figures.auc)}, 1 − r {_shown(figures.auc_score)}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"walked in {seconds[0]:.0f} s, fitted in {seconds[1]:.0f} s", highlight=False)
    if label == "prm" and figures.agreement is not None and figures.agreement < LEAST_AGREEMENT:
        console.print(
            f"[yellow]ρ of Δ by the PRM and by rollouts is {figures.agreement:.2f}: this PRM hardly tells two steps of "
            "one prefix apart. Use --label rollouts.[/]",
            soft_wrap=True,
        )


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
