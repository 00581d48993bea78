"""`steproute eval`: sweep a policy's knob over a data set."""

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.bench.datasets import load_problems
from steproute.bench.plot import plot_pareto
from steproute.bench.report import write_report
from steproute.bench.summary import Summary, summarise, write_summary
from steproute.bench.sweep import Graded, Sweep, run_sweep
from steproute.cli.tables import summary_tables
from steproute.cli.terminal import Terminal, print_json
from steproute.cli.waits import Waits
from steproute.config import RunConfig, claim_folder, lab_cast
from steproute.config_file import RouteSettings, read_config
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.limits import Limits
from steproute.engine.trace_file import TraceFile

_EXAMPLES: Final = 3
_PIPE_WIDTH: Final = 110


def evaluate(
    data: Annotated[
        str, typer.Option(help="A data set: lab, lab:test/hard, gsm8k, math500, or a .jsonl file.")
    ] = "lab",
    config: Annotated[Path | None, typer.Option(help="A steproute.toml with your models; the lab if left out.")] = None,
    problems: Annotated[int | None, typer.Option(help="How many problems; the lab's default is 300.")] = None,
    strategy: Annotated[str | None, typer.Option(help="stepwise, pipelined, cascade, budgeted, …")] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy by name, such as threshold, or the folder of a trained one.")
    ] = None,
    knobs: Annotated[str, typer.Option(help="Knob values, with commas; the policy's own grid by default.")] = "",
    baselines: Annotated[str, typer.Option(help="Policies for the same table, with commas.")] = "random",
    takeover_steps: Annotated[int | None, typer.Option(help="Steps that strong writes in a takeover.")] = None,
    scorer: Annotated[str, typer.Option(help="Folder of the scorer's calibration, by calibrate-scorer.")] = "",
    max_steps: Annotated[int | None, typer.Option(help="Steps of a solution at most.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Generated tokens a problem at most.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Dollars a problem at most.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Seconds a problem at most.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    in_flight: Annotated[int, typer.Option(help="Problems worked on at once.")] = 32,
    name: Annotated[str | None, typer.Option(help="Name of the run; the same name resumes it.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Sweep a policy's knob and write summary.json, report.html and pareto.png. A rerun resumes.

    Strategy, policy and limits that are left out come from the configuration, or are stepwise, threshold and 30 steps.

    Example: steproute eval --data lab --problems 300 --policy threshold --knobs 0,0.25,0.5,0.75,1
    """
    read = None if config is None else read_config(config)
    if read is not None and scorer:
        raise ConfigError("scorer: belongs to the lab's PRM. Put calibration = … below [scorers.prm] of the file.")
    route = (read.route if read else RouteSettings()).changed(
        strategy=strategy, policy=policy, takeover_steps=takeover_steps
    )
    run = RunConfig(
        config_digest=read.digest if read else "",
        name=name or _slug(f"{data}-{route.strategy}-{route.policy}-{seed}"),
        data=data,
        problems=problems,
        strategy=route.strategy,
        policy=route.policy,
        knobs=numbers(knobs),
        baselines=tuple(part for part in baselines.split(",") if part),
        takeover_steps=route.takeover_steps,
        ahead=route.ahead,
        hedge=route.hedge,
        scorer=scorer,
        seed=seed,
        in_flight=in_flight,
        limits=(read.limits if read else Limits()).changed(
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
            deadline_s=deadline_s,
        ),
    )
    folder = runs / run.name
    sweep, chosen = run.sweep(), load_problems(data, problems, seed)
    summary = run_to_files(run, sweep, chosen, read.cast() if read else lab_cast(scorer), folder)
    if json:
        print_json((folder / "summary.json").read_text())
    else:
        show(summary, folder)


def run_to_files(config: RunConfig, sweep: Sweep, problems: Sequence[Problem], cast: Cast, folder: Path) -> Summary:
    """Run (or go on with) a sweep in `folder`, with a progress bar on stderr, and write all its files."""
    graded, interrupted = solve_and_grade(config, sweep, problems, cast, folder)
    summary = summarise(
        config.name,
        config.data,
        sweep,
        problems,
        graded,
        seed=config.seed,
        interrupted_usd=interrupted,
        settings=config.document(),
    )
    write_summary(summary, folder / "summary.json")
    plot_pareto(summary, folder / "pareto.png")
    write_report(summary, _examples(sweep, problems, graded), folder / "report.html")
    return summary


def solve_and_grade(
    config: RunConfig, sweep: Sweep, problems: Sequence[Problem], cast: Cast, folder: Path
) -> tuple[list[Graded], Decimal]:
    """Run (or go on with) a sweep in `folder`: graded traces, and the dollars of attempts that were interrupted."""
    claim_folder(folder, config)
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        interrupted = sum((t.cost_usd for t in traces.found if t.outcome is Outcome.CANCELLED), Decimal(0))
        return _with_progress(config, sweep, problems, cast, traces), interrupted


def show(summary: Summary, folder: Path) -> None:
    """The tables, and where the files are."""
    console = Terminal()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(summary_tables(summary))
    for file in ("report.html", "pareto.png", "summary.json", "traces.jsonl.zst"):
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _with_progress(
    config: RunConfig, sweep: Sweep, problems: Sequence[Problem], cast: Cast, traces: TraceFile
) -> list[Graded]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), Waits(cast)
    spent = Decimal(0)
    with Progress(*columns, console=Terminal(stderr=True)) as progress:
        task = progress.add_task("solving", total=len(problems) * len(sweep.routes))

        def advance(trace: Trace) -> None:
            nonlocal spent
            spent += trace.cost_usd
            progress.update(task, advance=1, description=f"solving  ${spent:.4f}")

        try:
            return asyncio.run(run_sweep(sweep, problems, cast, config.settings, traces, advance))
        except KeyboardInterrupt:
            progress.console.print("interrupted. The same command goes on where this one stopped.")
            raise typer.Exit(130) from None


def _examples(sweep: Sweep, problems: Sequence[Problem], graded: Sequence[Graded]) -> list[tuple[Problem, Trace]]:
    """Problems on which strong stepped in, at the knob in the middle of the grid."""
    route = sweep.policy.routes[len(sweep.policy.routes) // 2].name
    by_id = {problem.id: problem for problem in problems}
    order = {problem.id: index for index, problem in enumerate(problems)}
    chosen = [item.trace for item in graded if item.trace.route == route and not item.trace.failed]
    chosen.sort(key=lambda trace: (not any(step.rejected for step in trace.steps), order[trace.problem_id]))
    return [(by_id[trace.problem_id], trace) for trace in chosen[:_EXAMPLES]]


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers from a command line; raises ConfigError."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(
            f"knobs: {text!r} is not a list of numbers. Give them with commas, such as 0,0.5,1."
        ) from None


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-")
