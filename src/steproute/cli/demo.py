"""`steproute demo`: what step-level routing gains, on the bundled lab or on your models."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.rule import Rule

from steproute.cli.evaluate import claimed, run_to_files, show
from steproute.cli.live import LiveView
from steproute.cli.options import Config, Name, Seed
from steproute.cli.own_demo import own_demo
from steproute.cli.program import program
from steproute.cli.spending import tree_limit
from steproute.cli.terminal import Terminal
from steproute.config import RunConfig, build_policy, build_strategy, has_shipped, lab_roles
from steproute.core.errors import ConfigError
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.spending import limited
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.story import Story
from steproute.strategies.single import Single

_PROBLEMS: Final = 200
_KNOBS: Final = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0)
_THRESHOLD: Final = 0.5
_SHORT: Final = 7
_AGG: Final = "lab-agg"
_BASELINES: Final = ("single:mid", "random", "oracle")
_WIDTH: Final = 2**32  # samples per place in the step tree: every seed its own


def demo(
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    seed: Seed = 0,
    config: Config = None,
    data: Annotated[str | None, typer.Option(help="With --config: the problems, such as own.jsonl.")] = None,
    problems: Annotated[int | None, typer.Option(help="Number of problems. Default: 200; with --config 50.")] = None,
    name: Name = None,
) -> None:
    """Show what step-level routing gains: one problem step by step, then many problems at every budget.

    With --config it runs on your models and marks final answers as correct or not. A rerun continues where the last
    one stopped.

    Example: steproute demo
    """
    began = time.monotonic()
    console = Terminal()
    if (config is None) != (data is None):
        raise ConfigError("config, data: give both, for your models and your problems, or neither, for the lab.")
    own = None if config is None or data is None else own_demo(config, data, problems, seed, name)
    run = _config(_PROBLEMS if problems is None else problems, seed, name) if own is None else own.run
    folder, sweep = runs / run.name, run.sweep()
    chosen = run.answer.on(load_problems(run.data, run.problems, seed))
    with claimed(run, sweep, chosen, folder):  # refused before the first call, if at all
        roles = lab_roles() if own is None else own.setup.roles
    with StepTree(folder / "tree.jsonl.zst", _WIDTH) as tree, tree_limit(tree, None, folder) as paid:
        roles = tree.roles(run.answer.graded(limited(roles, paid)))
        _say(console, "1 of 3: one problem, step by step", _ONE if own is None else own.one)
        if own is None:
            _show_one(console, chosen, roles, seed)
        else:
            own.show_one(console, chosen, roles, folder)
        about = _many(run) if own is None else [own.many]
        _say(console, f"2 of 3: {len(chosen)} problems at every budget", *about)
        summary = run_to_files(run, sweep, chosen, roles, folder, paid=paid)
    _say(console, "3 of 3: what a user gains")
    show(summary, folder)
    even = [_EVEN] if own is None and problems is None else []
    _say(console, f"Done in {time.monotonic() - began:.0f} s. What to try next", *even)
    for command in _NEXT if own is None else own.next:
        console.print(f"  {program()} {command}", highlight=False, soft_wrap=True)


_ONE: Final = (
    "The lab is a small world of word problems with its own language models, weak and strong, and a process reward "
    "model (PRM) that scores each step. A checker marks each step ✓ or ✗; no model and no policy sees these marks."
)
_EVEN: Final = (
    f"{_PROBLEMS} problems tell these policies from always-weak and random routing, because all of them solve the same "
    "problems with the same random numbers. With 1000 problems the brackets are less than half as wide."
)
_NEXT: Final = (
    "solve --sample 3 --knob 0.9",
    "eval --problems 1000 --name thousand --wide",
    "init --template vllm",
)


def _config(problems: int, seed: int, name: str | None) -> RunConfig:
    return RunConfig(
        name=f"demo-{seed}" if name is None else name,
        data="lab:test",
        problems=problems,
        knobs=_KNOBS,
        baselines=(*([_AGG] if has_shipped(_AGG) else []), *_BASELINES),
        seed=seed,
    )


def _many(config: RunConfig) -> list[str]:
    """The policies that are run and what their knobs do."""
    lines = [
        "TRIM-Thr has one knob, the threshold. At 0 every weak step is kept; at 1 the strong model writes every step. "
        f"It runs at {len(config.knobs)} thresholds.",
    ]
    if _AGG in config.baselines:
        lines.append("TRIM-Agg is a small trained network. Its knob is the price that it puts on a strong token.")
    lines.append(
        "Beside them run the weak, mid and strong model alone, random routing, and an oracle that knows which step is "
        "incorrect. A step that several of them need is computed once and billed to each."
    )
    return lines


def _show_one(console: Terminal, problems: Sequence[Problem], roles: Roles, seed: int) -> None:
    """The first problem on which the weak model fails and TRIM-Thr does not, solved by both and by the strong model."""
    kept, repaired = (build_strategy("stepwise", build_policy("threshold", knob, seed)) for knob in (0.0, _THRESHOLD))
    rescue = asyncio.run(_first_rescue(problems, roles, kept, repaired, seed))
    problem = problems[rescue or 0]
    why = "the first" if rescue is None else "the first short one that TRIM-Thr repairs"
    console.print(f"Problem {(rescue or 0) + 1}, {why}:", highlight=False)
    console.print(problem.text, style="bold", highlight=False, markup=False)
    costs = []
    for title, strategy in (
        ("Threshold 0 keeps every step of the weak model:", kept),
        (f"Threshold {_THRESHOLD}: the strong model rewrites each step that the PRM scores below it:", repaired),
        ("The strong model alone:", Single("strong")),
    ):
        console.print(f"\n{title}", highlight=False)
        view = LiveView(console, _correct)
        trace = asyncio.run(Episode(problem, roles, route="demo", seed=seed, on_event=view).run(strategy))
        costs.append(trace.cost_usd)
    console.print(
        f"\nThe repaired solution costs {costs[1] / costs[2]:.0%} of the strong model's alone.", highlight=False
    )


async def _first_rescue(
    problems: Sequence[Problem], roles: Roles, kept: Strategy[Episode], repaired: Strategy[Episode], seed: int
) -> int | None:
    """The index of the first short problem that routing and the strong model solve and the weak model does not."""
    for index, problem in enumerate(problems):
        if len(Story.parse(problem.text).relevant) > _SHORT:
            continue
        strategies = (kept, repaired, Single("strong"))
        traces = [await Episode(problem, roles, route="demo", seed=seed).run(each) for each in strategies]
        if [trace.answer == problem.answer for trace in traces] == [False, True, True]:
            return index
    return None


def _correct(problem: Problem, steps: Sequence[str]) -> bool:
    return check_steps(Story.parse(problem.text), steps)[-1] is StepLabel.CORRECT


def _say(console: Terminal, title: str, *paragraphs: str) -> None:
    console.print()
    console.print(Rule(f"[bold]{title}[/]", align="left", style="dim"))
    for paragraph in paragraphs:
        console.print(paragraph, highlight=False)
