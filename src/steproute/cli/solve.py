"""`steproute solve`: one problem, live."""

import asyncio
import sys
from decimal import Decimal
from itertools import islice
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from steproute.cli.live import LiveView
from steproute.config import build_policy, build_strategy, lab_cast
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.lab.story import Story, generate


def solve(
    text: Annotated[str | None, typer.Argument(help="The problem, in the lab's language.")] = None,
    sample: Annotated[int | None, typer.Option(help="Solve the lab's test problem of this number instead.")] = None,
    strategy: Annotated[str, typer.Option(help="stepwise or cascade.")] = "stepwise",
    policy: Annotated[str, typer.Option(help="Who decides about each weak step.")] = "threshold",
    knob: Annotated[
        float, typer.Option(help="The policy's knob; for threshold, the score below which strong writes.")
    ] = 0.5,
    takeover_steps: Annotated[int | None, typer.Option(help="Steps that strong writes in a takeover.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Budget of generated tokens.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Budget in dollars.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Seconds after which to stop.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every random draw.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the trace as JSON.")] = False,
) -> None:
    """Solve one problem with the lab models and show each step: author, score, decision, cost so far.

    Example: steproute solve --sample 3 --knob 0.5
    """
    problem = _problem(text, sample)
    limits = Limits(
        max_tokens=max_tokens,
        max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
        deadline_s=deadline_s,
    )
    route = build_strategy(strategy, build_policy(policy, knob, seed), takeover_steps=takeover_steps)
    view = LiveView(Console(stderr=json))
    name = f"{strategy}/{policy}={knob:g}"
    episode = Episode(problem, lab_cast(), route=name, limits=limits, seed=seed, on_event=view)
    trace = asyncio.run(episode.run(route))
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(trace) + b"\n")
    if trace.failed:
        raise typer.Exit(1)


def _problem(text: str | None, sample: int | None) -> Problem:
    if sample is not None:
        if sample < 0:
            raise DatasetError(f"sample: {sample} is negative. Give the number of a test problem, from 0.")
        return next(islice(generate("test"), sample, None))
    if text is None:
        raise DatasetError("problem: none given. Quote one, or take a test problem with --sample 0.")
    problem = Problem(id="solve", text=text.strip())
    Story.parse(problem.text)
    return problem
