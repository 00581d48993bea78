"""`steproute eval`: sweep a policy's knob over a data set."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.bench.answers import Verdict
from steproute.bench.datasets import Fields, load_problems
from steproute.bench.plot import plot_pareto
from steproute.bench.report import write_report
from steproute.bench.summary import Summary, summarise, write_summary
from steproute.bench.sweep import Graded, Sweep, run_sweep
from steproute.cli.options import (
    RUNS,
    AnswerField,
    Config,
    Data,
    IdField,
    InFlight,
    KeepFailed,
    Knobs,
    Name,
    Policy,
    Problems,
    QuestionField,
    Runs,
    Seed,
    Settings,
    Strategy,
    numbers,
)
from steproute.cli.stopping import Stopped, run_until_stopped
from steproute.cli.tables import print_summary
from steproute.cli.terminal import Terminal, print_json
from steproute.cli.waits import Waits
from steproute.config import RunConfig, check_needs, parsed_settings, read_setup
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.cast import Cast
from steproute.engine.run_folder import claim_folder, digests, name_of
from steproute.engine.runner import RunSettings
from steproute.engine.trace_file import TraceFile

_EXAMPLES: Final = 3


def evaluate(
    data: Data = "lab",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    config: Config = None,
    problems: Problems = None,
    strategy: Strategy = None,
    policy: Policy = None,
    knobs: Knobs = "",
    baselines: Annotated[str, typer.Option(help="More policies for the same table, separated by commas.")] = "random",
    settings: Settings = None,
    scorer: Annotated[str, typer.Option(help="Folder of a calibration written by calibrate-scorer.")] = "",
    max_steps: Annotated[int | None, typer.Option(help="Maximum steps per solution.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum generated tokens per problem.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Maximum dollars per problem.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Maximum seconds per problem.")] = None,
    seed: Seed = 0,
    in_flight: InFlight = 32,
    name: Name = None,
    runs: Runs = RUNS,
    keep_failed: KeepFailed = False,
    wide: Annotated[bool, typer.Option("--wide", help="Print all columns: intervals, tokens, calls, seconds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Measure a policy at every knob value and write summary.json, report.html and pareto.png. A rerun resumes.

    Strategy, policy and limits come from the options, then from the configuration file. Their defaults are stepwise,
    threshold and 30 steps.

    Example: steproute eval --data lab --problems 300 --policy threshold --knobs 0,0.25,0.5,0.75,1
    """
    setup = read_setup(config, data, scorer=scorer)
    route = setup.route.changed(strategy=strategy, policy=policy, settings=parsed_settings(settings))
    limits = setup.limits.changed(
        max_steps=max_steps,
        max_tokens=max_tokens,
        max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
        deadline_s=deadline_s,
    )
    run = replace(setup, route=route, limits=limits).run(
        name_of(f"{data}-{route.strategy}-{route.policy}-{seed}") if name is None else name,
        data,
        problems=problems,
        knobs=numbers(knobs),
        baselines=tuple(part for part in baselines.split(",") if part),
        seed=seed,
        in_flight=in_flight,
    )
    folder, fields = runs / run.name, Fields(question_field, answer_field, id_field)
    sweep, chosen = run.sweep(), load_problems(data, problems, seed, fields)
    summary = run_to_files(run, sweep, chosen, setup.roles, folder, keep_failed=keep_failed)
    if json:
        print_json((folder / "summary.json").read_text())
    else:
        show(summary, folder, wide=wide)


def run_to_files(
    config: RunConfig,
    sweep: Sweep,
    problems: Sequence[Problem],
    cast: Cast,
    folder: Path,
    *,
    keep_failed: bool = False,
) -> Summary:
    """Run (or go on with) a sweep in `folder`, with a progress bar on stderr, and write all its files."""
    graded, interrupted = solve_and_grade(config, sweep, problems, cast, folder, keep_failed=keep_failed)
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
    config: RunConfig,
    sweep: Sweep,
    problems: Sequence[Problem],
    cast: Cast,
    folder: Path,
    *,
    keep_failed: bool = False,
) -> tuple[list[Graded], Decimal]:
    """Run (or go on with) a sweep in `folder`: graded traces, and the dollars of attempts that no result comes from."""
    check_needs(sweep.routes, cast)
    kept = digests(config.artifacts, problems)
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        claim_folder(folder, config.document(), kept, problems, begun=len(traces) > 0)
        settings = replace(config.settings, keep_failed=keep_failed)
        return _with_progress(settings, sweep, problems, cast, traces), traces.abandoned_usd


def show(summary: Summary, folder: Path, *, wide: bool = False) -> None:
    """Print the result, the tables, and where the files are."""
    console = Terminal()
    print_summary(console, summary, wide=wide)
    for file in ("report.html", "pareto.png", "summary.json", "traces.jsonl.zst"):
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _with_progress(
    settings: RunSettings, sweep: Sweep, problems: Sequence[Problem], cast: Cast, traces: TraceFile
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
            return run_until_stopped(run_sweep(sweep, problems, cast, settings, traces, advance))
        except Stopped as stopped:
            progress.console.print("interrupted. The same command goes on where this one stopped.")
            raise typer.Exit(stopped.exit_code) from None


def _examples(sweep: Sweep, problems: Sequence[Problem], graded: Sequence[Graded]) -> list[tuple[Problem, Graded]]:
    """Problems at the middle knob: first those that the strong model saved, then others that it worked on."""
    route = sweep.policy.routes[len(sweep.policy.routes) // 2].name
    by_id = {problem.id: problem for problem in problems}
    order = {problem.id: index for index, problem in enumerate(problems)}
    lost = {item.trace.problem_id for item in graded if _is(item, sweep.weak.name, Verdict.WRONG)}
    saved = {item.trace.problem_id for item in graded if _is(item, route, Verdict.RIGHT)} & lost
    chosen = [item for item in graded if item.trace.route == route and not item.trace.failed]

    def rank(item: Graded) -> tuple[bool, bool, int]:
        rejected = any(step.rejected for step in item.trace.steps)
        return item.trace.problem_id not in saved, not rejected, order[item.trace.problem_id]

    return [(by_id[item.trace.problem_id], item) for item in sorted(chosen, key=rank)[:_EXAMPLES]]


def _is(item: Graded, route: str, verdict: Verdict) -> bool:
    return item.trace.route == route and item.verdict is verdict
