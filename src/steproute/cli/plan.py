"""`steproute plan`: when to regenerate, from TRIM-POMDP's parameters, or who solves what, from a route table."""

import json as jsonlib
import math
import time
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.table import Table

from steproute.artifacts import FACTS
from steproute.cli.options import Config, Json, QuestionField
from steproute.cli.plan_routes import plan_routes
from steproute.cli.terminal import Terminal
from steproute.config import read_config
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError, DatasetError
from steproute.evaluation.datasets import Fields
from steproute.learn.plan import plan as plan_all
from steproute.learn.pomdp_reference import load_reference
from steproute.policies.stored import load_policy
from steproute.policies.trim.pomdp_model import StepPomdp
from steproute.policies.trim.pomdp_plan import Plan
from steproute.policies.trim.pomdp_policy import PomdpFamily

_CORNERS_AND_MIDDLE: Final = (
    (1.0, 0.0, 0.0),
    (0.5, 0.5, 0.0),
    (0.5, 0.0, 0.5),
    (0.0, 0.5, 0.5),
    (0.0, 0.0, 1.0),
    (1 / 3, 1 / 3, 1 / 3),
)
_ROUNDING: Final = 1e-6


def plan(
    reference: Annotated[
        Path,
        typer.Option(
            help="Folder of `train --policy pomdp`, or of parameters such as the authors' own; with --budget of "
            "`train --policy routes`."
        ),
    ],
    cost: Annotated[float | None, typer.Option(help="Cost per strong token, if a correct answer earns 100.")] = None,
    config: Config = None,
    answer_usd: Annotated[
        float | None,
        typer.Option(
            help="What a correct answer is worth in dollars. Instead of --cost, with --config: the cost per strong "
            "token is then computed from the output price of the strong model."
        ),
    ] = None,
    beliefs: Annotated[
        Path | None, typer.Option(help="A JSON list of [on track, derailed, newest step incorrect]. Each adds up to 1.")
    ] = None,
    stages: Annotated[
        str, typer.Option(help="Numbers of steps accepted before the decision, separated by commas. Default: all.")
    ] = "",
    observations: Annotated[
        str, typer.Option(help="The folder's observation model: math_train or omni.")
    ] = "math_train",
    budget: Annotated[
        str,
        typer.Option(help="What all problems may cost together: 20usd, 50000tokens or 600s. Plans who solves what."),
    ] = "",
    data: Annotated[
        str, typer.Option(help="With --budget: the problems, such as gsm8k, or a .jsonl, .csv or .parquet file.")
    ] = "",
    question_field: QuestionField = "",
    problems: Annotated[int | None, typer.Option(help="With --budget: number of problems. Default: all.")] = None,
    json: Json = False,
) -> None:
    """Plan before anything is solved: who solves what under a budget, or when to regenerate a step.

    With --budget and a route table: the route of each problem, for the most correct answers that the budget pays for.
    The budget holds for predicted costs.

    Otherwise print the advantage of regenerating the newest step over accepting it, and the plan's certified gap.

    The advantage excludes the step's own token cost. Regenerate if the advantage exceeds cost × tokens of the step.
    With several roles, the cost of each counts by its share of the most expensive one's.

    Example: steproute plan --reference runs/routes --budget 20usd --data gsm8k

    Example: steproute plan --reference trim_reference --cost 0.25 --stages 0,2,5 --json
    """
    if budget or data:
        plan_routes(reference, budget, data, problems, Fields(question_field), as_json=json)
        return
    model = _model(reference, observations)
    cost = _cost(cost, config, answer_usd, model)
    chosen, wanted = _stages(stages, model.stages), _beliefs(beliefs)
    began = time.perf_counter()
    made = plan_all(model, [cost])
    seconds = time.perf_counter() - began
    rows = [row for stage in chosen for belief in wanted for row in _advantages(made, stage, belief)]
    if json:
        typer.echo(jsonlib.dumps({"cost": cost, "gap": made.gap, "seconds": seconds, "advantages": rows}, indent=2))
        return
    table = Table(title=f"advantage of regenerating at cost {cost:g}", caption=f"gap {made.gap:.2g} · {seconds:.2f} s")
    table.add_column("on track, derailed, newest incorrect")
    table.add_column("role")
    for stage in chosen:
        table.add_column(f"stage {stage}", justify="right")
    lines = len(wanted) * len(model.rewriters)
    for index, row in enumerate(rows[:lines]):
        values = [f"{each['advantage']:.3f}" for each in rows[index::lines]]
        table.add_row(", ".join(f"{part:.3g}" for part in row["belief"]), row["role"], *values)
    Terminal().print(table)


def _advantages(made: Plan, stage: int, belief: F64) -> list[dict[str, Any]]:
    """One row for each rewriter."""
    low, high = made.advantage_bounds(0, stage, belief)
    return [
        {
            "stage": stage,
            "belief": belief.tolist(),
            "role": rewriter.name,
            "advantage": float(low[index] + high[index]) / 2,
            "advantage_bounds": [float(low[index]), float(high[index])],
        }
        for index, rewriter in enumerate(made.model.rewriters)
    ]


def _model(folder: Path, observations: str) -> StepPomdp:
    """The model of a trained TRIM-POMDP, or of the authors' files."""
    if not (folder / FACTS).is_file():
        return load_reference(folder, observations)
    family = load_policy(folder)
    if not isinstance(family, PomdpFamily):
        raise ConfigError(
            f"{folder} is no TRIM-POMDP.", where="reference", remedy="Name a folder of `train --policy pomdp`."
        )
    return family.plan.model


def _cost(cost: float | None, config: Path | None, answer_usd: float | None, model: StepPomdp) -> float:
    """The cost per token of the dearest rewriter in units of the task reward, which a correct answer earns."""
    by_price = config is not None and answer_usd is not None
    if (cost is not None) == by_price or (not by_price and (config is not None or answer_usd is not None)):
        raise ConfigError("give --cost, or both --config and --answer-usd.", where="cost")
    if cost is not None:
        if not 0 <= cost < math.inf:
            raise ConfigError(
                f"{cost:g} is no cost.", where="cost", remedy="Give rewards per strong token, 0 or more, such as 0.25."
            )
        return cost
    assert config is not None
    assert answer_usd is not None
    if not 0 < answer_usd < math.inf:
        raise ConfigError(f"{answer_usd:g} is no worth.", where="answer-usd", remedy="Give finite dollars above 0.")
    dearest = model.rewriters[-1].name
    token_usd = read_config(config).price("models", dearest).output / 1_000_000
    if not token_usd:
        raise ConfigError(
            f"models.{dearest}.price: its output costs nothing.", where=config.name, remedy="Set it, or give --cost."
        )
    return model.task_reward * float(token_usd) / answer_usd


def _stages(text: str, count: int) -> list[int]:
    if not text:
        return list(range(count))
    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a list of numbers.", where="stages", remedy="Give them with commas, such as 0,2,5."
        ) from None
    for stage in chosen:
        if not 0 <= stage < count:
            raise ConfigError(f"{stage} is outside 0 … {count - 1}.", where="stages")
    return chosen


def _beliefs(path: Path | None) -> F64:
    if path is None:
        return np.array(_CORNERS_AND_MIDDLE)
    try:
        found = np.array(jsonlib.loads(path.read_bytes()), float)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist.", where="beliefs") from None
    except (ValueError, TypeError, OverflowError, RecursionError, OSError) as failure:
        raise DatasetError(f"{path} is not a JSON list of three numbers each ({failure}).", where="beliefs") from None
    if found.ndim != 2 or found.shape[1] != 3:
        raise DatasetError(
            f"{path} has shape {found.shape}.", where="beliefs", remedy="Give a list of three numbers each."
        )
    for row, belief in enumerate(found):
        if not ((belief >= 0).all() and abs(belief.sum() - 1) <= _ROUNDING):
            raise DatasetError(
                f"row {row} of {path}, {belief.tolist()}, is not a probability distribution.",
                where="beliefs",
                remedy="Give three numbers of 0 or more that add up to 1.",
            )
    return found
