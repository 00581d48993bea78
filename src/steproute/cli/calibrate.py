"""`steproute calibrate`: from a budget or a target to the policy that meets it, measured on problems of its own."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from steproute.bench.calibrate import (
    Measured,
    budget_curve,
    chosen,
    cost_for_budget,
    cost_for_target,
    halves,
    measure_mix,
    relative_deviation,
)
from steproute.bench.datasets import load_problems
from steproute.bench.formatting import dollars
from steproute.bench.summary import Axis, JudgedRuns
from steproute.cli.evaluate import numbers, solve_and_grade
from steproute.cli.terminal import Terminal
from steproute.config import RunConfig, lab_cast
from steproute.core.errors import ConfigError, DatasetError
from steproute.policies.artifact import write_artifact
from steproute.policies.mixture import Mix
from steproute.policies.stored import mixture_artifact

_TARGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%(?:\s+of\s+strong)?\s*")


def calibrate(
    policy: Annotated[str, typer.Option(help="A policy, or the folder of a trained one.")] = "threshold",
    budget: Annotated[float | None, typer.Option(help="Share of always-strong's tokens to spend, such as 0.2.")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Dollars a problem to spend, such as 0.002.")] = None,
    target: Annotated[str, typer.Option(help='Accuracy to reach, such as "95% of strong".')] = "",
    data: Annotated[str, typer.Option(help="Your problems, or the lab's.")] = "lab:validation",
    problems: Annotated[int | None, typer.Option(help="How many of them; the lab's default is 300.")] = None,
    knobs: Annotated[str, typer.Option(help="Knob values, with commas; the policy's own grid by default.")] = "",
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the run and folder of the result; the same name resumes.")] = "",
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Choose the knobs for a budget or a target on half of the problems, measure them on the other half, and write a
    policy folder for `eval` and `solve`. Refuses where the problems are too few to say.

    Example: steproute calibrate --policy threshold --budget 0.4 --problems 300 --name budget40
    """
    goal, axis = _goal(budget, budget_usd, target)
    folder_name = name or re.sub(r"\W+", "-", f"calibrate-{policy}-{goal:g}").strip("-")
    config = RunConfig(name=folder_name, data=data, problems=problems, policy=policy, knobs=numbers(knobs), seed=seed)
    folder, sweep, selected = runs / config.name, config.sweep(), load_problems(data, problems, seed)
    graded, _ = solve_and_grade(config, sweep, selected, lab_cast(), folder)
    judged = JudgedRuns(sweep, selected, graded)
    fitting, measuring = halves(judged.judged)
    swept, strong = judged.outcomes(sweep.policy.routes, axis), judged.anchor(sweep.strong, axis)
    grid, choosing = sweep.policy.knobs, chosen(strong, fitting)
    if not (choosing.correct.any() and choosing.cost.any()):
        raise DatasetError("calibrate: strong solved none of the problems that choose. Check the models or the data.")
    curve, accuracy = budget_curve(grid, chosen(swept, fitting), axis)
    if target:
        cost = cost_for_target(curve, accuracy, choosing, goal)
    else:
        cost = cost_for_budget(curve, goal if axis == "usd" else goal * float(choosing.cost.mean()))
    mix = curve.mix(cost)
    measured = measure_mix(mix, grid, chosen(swept, measuring), chosen(strong, measuring), np.random.default_rng(seed))
    facts: dict[str, Any] = {
        "data": data,
        "seed": seed,
        "goal": "accuracy" if target else axis,
        "fitted_on": len(fitting),
        "measured": asdict(measured),
    }
    deviation = relative_deviation(mix, grid, chosen(swept, fitting))
    write_artifact(mixture_artifact(curve, cost, goal, deviation, policy, facts), folder)
    _show(mix, measured, axis, folder)


def _goal(budget: float | None, budget_usd: float | None, target: str) -> tuple[float, Axis]:
    if (budget is not None) + (budget_usd is not None) + (target != "") != 1:
        raise ConfigError(
            'budget, budget-usd, target: give one of them, such as --budget 0.2 or --target "95% of strong".'
        )
    if budget is not None:
        if not 0 < budget <= 1:
            raise ConfigError(f"budget: {budget:g} is outside (0, 1]. Give the share of always-strong's tokens.")
        return budget, "tokens"
    if budget_usd is not None:
        if not budget_usd > 0:
            raise ConfigError(f"budget-usd: {budget_usd:g} is no budget. Give the dollars a problem, such as 0.002.")
        return budget_usd, "usd"
    match = _TARGET.fullmatch(target)
    if match is None or not 0 < float(match[1]) <= 100:
        raise ConfigError(f'target: {target!r} is no share of strong\'s accuracy. Write it as "95% of strong".')
    return float(match[1]) / 100, "tokens"


def _show(mix: Mix, measured: Measured, axis: Axis, folder: Path) -> None:
    console = Terminal(highlight=False, soft_wrap=True)
    knobs = f"{mix.low:g}" if mix.share == 0 else f"{mix.low:g}, and {mix.high:g} on {mix.share:.1%} of the problems"
    spent, reached = measured.cost_share_ci95, measured.accuracy_share_ci95
    cost = f"{measured.cost:.1f} strong tokens" if axis == "tokens" else dollars(measured.cost)
    console.print(f"knob {knobs}")
    console.print(f"measured on {measured.problems} other problems, with 95 % intervals:")
    console.print(
        f"  {cost} a problem, {measured.cost_share:.1%} of always-strong's [{spent.low:.1%}, {spent.high:.1%}]"
    )
    console.print(
        f"  accuracy {measured.accuracy:.1%}, {measured.accuracy_share:.1%} of strong's "
        f"[{reached.low:.1%}, {reached.high:.1%}]"
    )
    console.print(f"  {folder}")
