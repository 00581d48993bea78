"""`steproute solve`: one problem, live."""

import asyncio
import shlex
from decimal import Decimal
from itertools import islice
from typing import Annotated, Final

import msgspec
import typer

from steproute.cli.live import LiveView
from steproute.cli.options import Config, Policy, Seed, Settings, Strategy
from steproute.cli.program import program
from steproute.cli.terminal import Terminal, print_json
from steproute.config import RouteSettings, check_answers, check_needs, parsed_settings, read_setup
from steproute.core.bounds import MOST_PROBLEMS, check_between
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.engine.episode import Episode
from steproute.engine.runner import Route
from steproute.lab.story import MAX_VALUE, Story, generate

LAB_ROUTE: Final = RouteSettings(policy="lab-agg", knob=0.002)
"""TRIM-Agg as it is shipped, at a price of a strong token that buys most of the strong model's accuracy."""


_EXAMPLE: Final = "(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. How many coins does Mia have now?"


def solve(
    text: Annotated[str | None, typer.Argument(help="The problem; without --config in the lab's language.")] = None,
    config: Config = None,
    sample: Annotated[int | None, typer.Option(help="Solve the lab's test problem of this number instead.")] = None,
    strategy: Strategy = None,
    policy: Policy = None,
    knob: Annotated[
        float | None,
        typer.Option(help="The policy's knob. For threshold: the strong model rewrites steps that score lower."),
    ] = None,
    settings: Settings = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum generated tokens.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Maximum dollars.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Maximum seconds.")] = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the trace as JSON.")] = False,
) -> None:
    """Solve one problem and show each step: author, score, decision, cost so far.

    Strategy, policy and knob come from the options, then from the configuration file. On the lab the default is the
    trained policy that comes with the package; with --knob alone it is threshold.

    Example: steproute solve --sample 3 --knob 0.5
    """
    setup = read_setup(config)
    (problem,) = setup.answer.on([_problem(text, sample, lab=config is None)])
    limits = setup.limits.changed(
        max_tokens=max_tokens,
        max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
        deadline_s=deadline_s,
    )
    default = LAB_ROUTE if config is None and policy is None and knob is None else setup.route
    chosen = default.changed(strategy=strategy, policy=policy, knob=knob, settings=parsed_settings(settings))
    route = Route(name=chosen.name, strategy=chosen.strategy_at(seed))
    check_needs([route], setup.roles)
    check_answers([route], setup.answer.answer_rule)
    view = LiveView(Terminal(stderr=json))
    episode = Episode(problem, setup.roles, route=route.name, limits=limits, seed=seed, on_event=view)
    trace = asyncio.run(episode.run(route.strategy))
    if json:
        print_json(msgspec.json.encode(trace).decode())
    if trace.failed:
        raise typer.Exit(1)


def _problem(text: str | None, sample: int | None, *, lab: bool) -> Problem:
    if sample is not None:
        if text is not None:
            raise DatasetError(
                f"both {text!r} and --sample {sample} are given.", where="problem", remedy="Leave out one of them."
            )
        check_between("sample", sample, 0, MOST_PROBLEMS - 1, "Give the number of a test problem, from 0.")
        return next(islice(generate("test"), sample, None))
    if text is None:
        raise DatasetError("none given. Quote one, or take a test problem with --sample 0.", where="problem")
    problem = Problem(id="solve", text=text.strip())
    if lab:
        try:
            Story.parse(problem.text)
        except DatasetError as failure:
            raise DatasetError(f"{failure}\n\n{_what_the_lab_can_do()}") from None
    return problem


def _what_the_lab_can_do() -> str:
    me = program()
    return (
        "Without --config the bundled lab solves the problem. Its tiny models read one kind: numbered sentences about "
        f"how many things people have, in whole numbers from 1 to {MAX_VALUE}, and a question at the end:\n"
        f"  {me} solve {shlex.quote(_EXAMPLE)}\n"
        f"  {me} solve --sample 0\n"
        "For any other problem connect models of your own:\n"
        f"  {me} init --template vllm      (other templates: {me} init --help)\n"
        f"  {me} solve --config steproute.toml {shlex.quote('What is 2+2?')}"
    )
