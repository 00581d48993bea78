"""`steproute demo`: the main job on the bundled lab."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from steproute.bench.datasets import load_problems
from steproute.cli.evaluate import run_to_files, show
from steproute.cli.live import LiveView
from steproute.cli.terminal import Terminal
from steproute.config import RunConfig, build_policy, build_strategy, lab_cast
from steproute.engine.episode import Episode

_LIVE: Final = 3
_PROBLEMS: Final = 300
_KNOBS: Final = tuple(index / 10 for index in range(11))


def demo(
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
) -> None:
    """Three lab problems live, then 300 problems at eleven thresholds: table, plot and report.

    Example: steproute demo
    """
    began = time.monotonic()
    console = Terminal()
    config = RunConfig(
        name=f"demo-{seed}",
        data="lab:test",
        problems=_PROBLEMS,
        knobs=_KNOBS,
        baselines=("random", "oracle"),
        seed=seed,
    )
    problems, cast = load_problems(config.data, _PROBLEMS, seed), lab_cast()
    strategy = build_strategy("stepwise", build_policy("threshold", 0.5, seed))
    console.print("[bold]Three problems, live[/]: weak writes, the PRM scores, strong rewrites what scores below 0.5")
    for problem in problems[:_LIVE]:
        asyncio.run(Episode(problem, cast, route="live", seed=seed, on_event=LiveView(console)).run(strategy))
    console.print()
    show(run_to_files(config, config.sweep(), problems, cast, runs / config.name), runs / config.name)
    console.print(f"[dim]{time.monotonic() - began:.0f} s[/]")
