"""`steproute calibrate`: find the policy that meets a budget or a target, and measure it on separate problems."""

import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from steproute.artifacts import write_artifact
from steproute.cli.estimate import print_estimate
from steproute.cli.evaluate import solve_and_grade
from steproute.cli.options import (
    RUNS,
    AnswerField,
    AnswerRule,
    Config,
    Data,
    Estimate,
    Grader,
    GraderSettings,
    IdField,
    InFlight,
    KeepFailed,
    Knobs,
    MaxUsd,
    Problems,
    QuestionField,
    Runs,
    Seed,
    Settings,
    numbers,
    parsed_grader_settings,
)
from steproute.cli.spending import within_limit
from steproute.cli.tables import print_fallbacks
from steproute.cli.terminal import Terminal
from steproute.config import check_needs, parsed_settings, policy_folder, read_setup
from steproute.config.route import RouteSettings, asks_chooser
from steproute.core.errors import ConfigError, DatasetError
from steproute.engine.roles import Roles
from steproute.engine.run_folder import name_of
from steproute.evaluation.bootstrap import Outcomes
from steproute.evaluation.calibrate import Goal, budget_curve, chosen, cost_for, halves, relative_deviation
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.failures import fallback_groups, fallen_back
from steproute.evaluation.formatting import dollars
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.measured_mix import Measured, check_enough, measure_mix
from steproute.evaluation.summary import AXES, Axis
from steproute.evaluation.sweep import Sweep
from steproute.policies.mixture import BudgetCurve, Mix
from steproute.policies.stored import mixture_artifact

_TARGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%(?:\s+of\s+strong)?\s*")


def calibrate(
    policy: Annotated[str, typer.Option(help="A policy, or the folder of a trained one.")] = "threshold",
    budget: Annotated[float | None, typer.Option(help="Share of always-strong's tokens to spend, such as 0.2.")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Dollars per problem to spend, such as 0.002.")] = None,
    target: Annotated[str, typer.Option(help='Accuracy to reach, such as "95% of strong".')] = "",
    data: Data = "lab:validation",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    config: Config = None,
    problems: Problems = None,
    knobs: Knobs = "",
    settings: Settings = None,
    answer_rule: AnswerRule = None,
    grader: Grader = None,
    grader_settings: GraderSettings = None,
    seed: Seed = 0,
    in_flight: InFlight = 32,
    name: Annotated[
        str | None, typer.Option(help="Name of the run and folder of the result; the same name resumes.")
    ] = None,
    runs: Runs = RUNS,
    keep_failed: KeepFailed = False,
    max_usd: MaxUsd = None,
    estimate: Estimate = False,
) -> None:
    """Find the policy that meets a budget or a target, and write its folder for `eval` and `solve`.

    One half of the problems chooses the knobs, the other half measures them. Refuses if there are too few problems.

    Example: steproute calibrate --policy threshold --budget 0.4 --problems 300 --name budget40
    """
    goal = _goal(budget, budget_usd, target)
    folder_name = default_name(policy, goal) if name is None else name
    setup = read_setup(config, data).graded_by(
        rule=answer_rule, grader=grader, settings=parsed_grader_settings(grader_settings)
    )
    route = setup.route.changed(policy=policy, settings=parsed_settings(settings))
    _check_costs(goal, setup.roles)
    _check_decides(route)
    run = replace(setup, route=route).run(
        folder_name, data, problems=problems, knobs=numbers(knobs), seed=seed, in_flight=in_flight
    )
    fields = Fields(question_field, answer_field, id_field)
    folder, sweep = runs / run.name, run.sweep()
    selected = setup.answer.on(load_problems(data, problems, seed, fields))
    roles = setup.answer.graded(within_limit(setup.roles, max_usd, folder))
    check_enough(len(halves([problem.id for problem in selected])[1]))
    if estimate:
        check_needs(sweep.routes, setup.roles)
        print_estimate(run, sweep, selected, setup.roles, runs, keep_failed=keep_failed)
        return
    solved = solve_and_grade(run, sweep, selected, roles, folder, keep_failed=keep_failed)
    result = _calibrated(goal, sweep, JudgedRuns(sweep, selected, solved.traces), seed)
    facts: dict[str, Any] = {
        "data": data,
        "seed": seed,
        "goal": goal.kind,
        "fitted_on": result.fitted_on,
        "mix": asdict(result.mix),
        "measured": asdict(result.measured),
    }
    artifact = mixture_artifact(
        result.curve, result.cost, goal.value, result.deviation, policy, facts, policy_folder(policy)
    )
    write_artifact(artifact, folder)
    _show(result, goal, folder)
    fell_back = fallen_back(solved.traces)
    print_fallbacks(Terminal(), len(fell_back), fallback_groups(fell_back))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """The mix that meets a goal. fitted_on: how many problems chose it; deviation: see `relative_deviation`."""

    curve: BudgetCurve
    cost: float
    mix: Mix
    deviation: float
    fitted_on: int
    measured: Measured


def _calibrated(goal: Goal, sweep: Sweep, judged: JudgedRuns, seed: int) -> _Calibration:
    """Choose the mix on one half of the problems and measure it on the other."""
    fitting, measuring = halves(judged.judged)
    by_axis: dict[Axis, tuple[Outcomes, Outcomes]] = {
        axis: (judged.outcomes(sweep.policy.routes, axis), judged.anchor(sweep.strong, axis)) for axis in AXES
    }
    swept, strong = (chosen(outcomes, fitting) for outcomes in by_axis[goal.axis])
    _check_strong(strong, goal.axis)
    curve, accuracy = budget_curve(sweep.policy.knobs, swept, goal.axis)
    cost = cost_for(goal, curve, accuracy, strong)
    mix = curve.mix(cost)
    others = {
        axis: (chosen(policy, measuring), chosen(anchor, measuring)) for axis, (policy, anchor) in by_axis.items()
    }
    rng = np.random.default_rng(seed)
    return _Calibration(
        curve=curve,
        cost=cost,
        mix=mix,
        deviation=relative_deviation(mix, sweep.policy.knobs, swept),
        fitted_on=len(fitting),
        measured=measure_mix(mix, goal, sweep.policy.knobs, (swept, strong), others, rng),
    )


def _check_strong(strong: Outcomes, axis: Axis) -> None:
    """Raises DatasetError if nothing can be a share of what the strong model reaches or spends."""
    if not strong.correct.any():
        raise DatasetError(
            "strong solved none of the problems that choose.", where="calibrate", remedy="Check the models or the data."
        )
    if not strong.cost.any():
        raise DatasetError(
            f"strong used no {axis} on the problems that choose.", where="calibrate", remedy="Check what it reports."
        )


def _check_decides(route: RouteSettings) -> None:
    if asks_chooser(route.strategy):
        raise ConfigError(
            f"the strategy {route.strategy!r} asks a chooser, and only policies are calibrated.",
            where="strategy",
            remedy="Sweep the chooser's knob by `steproute compare`, and use the one that fits.",
        )


def default_name(policy: str, goal: Goal) -> str:
    """The default folder of a goal: 95 % of the tokens and 95 % of the accuracy have different folders."""
    return name_of(f"calibrate-{policy}-{goal.kind}-{goal.value}")


def _goal(budget: float | None, budget_usd: float | None, target: str) -> Goal:
    if (budget is not None) + (budget_usd is not None) + (target != "") != 1:
        raise ConfigError(
            'budget, budget-usd, target: give one of them, such as --budget 0.2 or --target "95% of strong".'
        )
    if budget is not None:
        if not 0 < budget <= 1:
            raise ConfigError(
                f"{budget:g} is outside (0, 1].", where="budget", remedy="Give the share of always-strong's tokens."
            )
        return Goal(budget, "tokens")
    if budget_usd is not None:
        if not 0 < budget_usd < math.inf:
            raise ConfigError(
                f"{budget_usd:g} is no budget.",
                where="budget-usd",
                remedy="Give the dollars per problem, such as 0.002.",
            )
        return Goal(budget_usd, "usd")
    match = _TARGET.fullmatch(target)
    if match is None or not 0 < float(match[1]) <= 100:
        raise ConfigError(f'target: {target!r} is no share of strong\'s accuracy. Write it as "95% of strong".')
    return Goal(float(match[1]) / 100, "accuracy")


def _check_costs(goal: Goal, roles: Roles) -> None:
    """Raises ConfigError for a goal in dollars if the strong model costs nothing."""
    price = roles.model("strong").price
    if goal.kind == "usd" and not (price.input or price.output):
        raise ConfigError(
            "models.strong has no price above 0, so no dollars can be compared with what it costs.",
            where="budget-usd",
            remedy="Set price = { input = …, output = … } below [models.strong], in dollars per million "
            "tokens, or give --budget.",
        )


def _show(result: _Calibration, goal: Goal, folder: Path) -> None:
    console = Terminal(highlight=False, soft_wrap=True)
    mix, measured = result.mix, result.measured
    knobs = f"{mix.low:g}" if mix.share == 0 else f"{mix.low:g}, and {mix.high:g} on {mix.share:.1%} of the problems"
    reached = measured.accuracy_share_ci95
    asked = {
        "tokens": f"a budget of {goal.value:.1%} of always-strong's tokens",
        "usd": f"a budget of {dollars(goal.value)} per problem",
        "accuracy": f"{goal.value:.1%} of strong's accuracy",
    }
    console.print(f"asked for: {asked[goal.kind]}")
    console.print(f"knob {knobs}, chosen on {result.fitted_on} problems")
    console.print(
        f"measured on {measured.problems} other problems; the 95 % intervals cover the choice and the measurement:"
    )
    for axis, spent in measured.spent.items():
        cost = f"{spent.mean:.1f} strong tokens" if axis == "tokens" else dollars(spent.mean)
        low, high = spent.share_ci95.low, spent.share_ci95.high
        console.print(f"  {cost} per problem, {spent.share:.1%} of always-strong's [{low:.1%}, {high:.1%}]")
    console.print(
        f"  accuracy {measured.accuracy:.1%}, {measured.accuracy_share:.1%} of strong's "
        f"[{reached.low:.1%}, {reached.high:.1%}]"
    )
    console.print(f"  {folder}")
