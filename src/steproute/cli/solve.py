"""`steproute solve`: one problem, live."""

import shlex
from itertools import islice
from typing import Annotated

import msgspec
import typer

from steproute import solving
from steproute.cli.live import LiveView
from steproute.cli.options import Config, Policy, Seed, Settings, Strategy
from steproute.cli.program import program
from steproute.cli.terminal import Terminal, print_json
from steproute.config import parsed_settings
from steproute.core.bounds import MOST_PROBLEMS, check_between
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.lab.story import generate
from steproute.solving import LAB_PROBLEM, LAB_PROBLEMS, NotALabProblem, ProblemFailed


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
    try:
        trace = solving.solve(
            asked_problem(text, sample),
            config=config,
            strategy=strategy,
            policy=policy,
            knob=knob,
            settings=parsed_settings(settings),
            max_tokens=max_tokens,
            max_cost_usd=max_cost_usd,
            deadline_s=deadline_s,
            seed=seed,
            on_event=LiveView(Terminal(stderr=json)),
        ).trace
    except ProblemFailed as failure:
        trace = failure.trace
    except NotALabProblem as failure:
        raise DatasetError(f"{failure.reason}\n\n{_what_the_lab_can_do()}") from None
    if json:
        print_json(msgspec.json.encode(trace).decode())
    if trace.failed:
        raise typer.Exit(1)


def asked_problem(text: str | None, sample: int | None) -> str | Problem:
    """The problem that a command is given: its text, or the lab's test problem of a number. Raises DatasetError."""
    if sample is not None:
        if text is not None:
            raise DatasetError(
                f"both {text!r} and --sample {sample} are given.", where="problem", remedy="Leave out one of them."
            )
        check_between("sample", sample, 0, MOST_PROBLEMS - 1, "Give the number of a test problem, from 0.")
        return next(islice(generate("test"), sample, None))
    if text is None:
        raise DatasetError("none given. Quote one, or take a test problem with --sample 0.", where="problem")
    return text


def _what_the_lab_can_do() -> str:
    me = program()
    return (
        f"Without --config the bundled lab solves the problem. Its tiny models read one kind: {LAB_PROBLEMS}:\n"
        f"  {me} solve {shlex.quote(LAB_PROBLEM)}\n"
        f"  {me} solve --sample 0\n"
        "For any other problem connect models of your own:\n"
        f"  {me} init --template vllm      (other templates: {me} init --help)\n"
        f"  {me} solve --config steproute.toml {shlex.quote('What is 2+2?')}"
    )
