"""`steproute eval`: sweep a policy's knob over a data set."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.cli.bank_audit import print_near_duplicates
from steproute.cli.estimate import print_estimate
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
    Name,
    Policy,
    Problems,
    QuestionField,
    Runs,
    Seed,
    Seeds,
    Settings,
    Strategy,
    listed,
    numbers,
    parsed_grader_settings,
    whole_numbers,
)
from steproute.cli.spending import within_limit
from steproute.cli.stopping import INTERRUPTED, Stopped, run_until_stopped
from steproute.cli.tables import print_summary
from steproute.cli.terminal import Terminal, print_json
from steproute.cli.waits import Waits
from steproute.config import RunConfig, check_needs, parsed_settings, read_setup
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.whole_file import write_json
from steproute.engine.grade_book import GRADES, GradeBook
from steproute.engine.roles import Roles
from steproute.engine.run_folder import claim_folder, name_of
from steproute.engine.runner import RunSettings
from steproute.engine.spending import SpendingLimit
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.plot import plot_pareto
from steproute.evaluation.report import write_report
from steproute.evaluation.summarise import summarise
from steproute.evaluation.summary import Summary
from steproute.evaluation.sweep import Cell, Solved, Sweep, run_sweep

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
    answer_rule: AnswerRule = None,
    grader: Grader = None,
    grader_settings: GraderSettings = None,
    seed: Seed = 0,
    seeds: Seeds = "",
    in_flight: InFlight = 32,
    name: Name = None,
    runs: Runs = RUNS,
    keep_failed: KeepFailed = False,
    max_usd: MaxUsd = None,
    estimate: Estimate = False,
    wide: Annotated[bool, typer.Option("--wide", help="Print all columns: intervals, tokens, calls, seconds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Measure a policy at every knob value and write summary.json, report.html and pareto.png.

    A rerun under the same name resumes; with more problems, knobs, policies or seeds it solves only what is missing.

    Strategy, policy and limits come from the options, then from the configuration file. Their defaults are stepwise,
    threshold and 30 steps.

    Example: steproute eval --data lab --problems 300 --policy threshold --knobs 0,0.25,0.5,0.75,1
    """
    setup = read_setup(config, data, scorer=scorer).graded_by(
        rule=answer_rule, grader=grader, settings=parsed_grader_settings(grader_settings)
    )
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
        baselines=tuple(dict.fromkeys(listed(baselines))),
        seed=seed,
        seeds=whole_numbers("seeds", seeds),
        in_flight=in_flight,
    )
    folder, fields = runs / run.name, Fields(question_field, answer_field, id_field)
    sweep, chosen = run.sweep(), setup.answer.on(load_problems(data, problems, seed, fields))
    if estimate:
        check_needs(sweep.routes, setup.roles)
        print_estimate(run, sweep, chosen, setup.roles, runs, keep_failed=keep_failed)
        return
    roles = setup.answer.graded(within_limit(setup.roles, max_usd, folder))
    summary = run_to_files(run, sweep, chosen, roles, folder, keep_failed=keep_failed)
    if json:
        print_json((folder / "summary.json").read_text())
    else:
        show(summary, folder, wide=wide)


def run_to_files(
    config: RunConfig,
    sweep: Sweep,
    problems: Sequence[Problem],
    roles: Roles,
    folder: Path,
    *,
    keep_failed: bool = False,
    paid: SpendingLimit | None = None,
) -> Summary:
    """Run or continue a sweep in `folder`, with a progress bar on stderr, and write all its files.

    paid: counts what the backends are really paid, if the roles share a step tree.
    """
    solved = solve_and_grade(config, sweep, problems, roles, folder, keep_failed=keep_failed)
    summary = summary_of(config, sweep, problems, solved, paid_usd=None if paid is None else paid.spent_usd)
    write_json(folder / "summary.json", summary)
    plot_pareto(summary, folder / "pareto.png")
    write_report(summary, examples(sweep, problems, solved.traces), folder / "report.html")
    return summary


def summary_of(
    config: RunConfig,
    sweep: Sweep,
    problems: Sequence[Problem],
    solved: Solved,
    *,
    paid_usd: Decimal | None = None,
    alone: Mapping[Cell, float] | None = None,
) -> Summary:
    """The summary of the traces; alone: see `JudgedRuns`.

    Raises DatasetError if no problem has a verdict in every route.
    """
    return summarise(
        config.name,
        config.data,
        sweep,
        problems,
        solved.traces,
        seed=config.seed,
        earlier=solved.earlier,
        interrupted_usd=solved.interrupted_usd,
        grading_usd=solved.grading_usd,
        paid_usd=paid_usd,
        reasons=solved.reasons,
        settings=config.document(),
        alone=alone,
    )


def solve_and_grade(
    config: RunConfig,
    sweep: Sweep,
    problems: Sequence[Problem],
    roles: Roles,
    folder: Path,
    *,
    keep_failed: bool = False,
) -> Solved:
    """Run, resume or grow a sweep in `folder`: solve and grade what it does not hold yet."""
    check_needs(sweep.routes, roles)
    with claimed(config, sweep, problems, folder) as traces:
        settings = replace(config.settings, keep_failed=keep_failed)
        with GradeBook(roles.grading, folder / GRADES, settings.limits.retries) as book:
            solved = _with_progress(settings, sweep, problems, roles, traces, book)
    print_near_duplicates(sweep, problems, solved.traces)
    return solved


@contextmanager
def claimed(config: RunConfig, sweep: Sweep, problems: Sequence[Problem], folder: Path) -> Iterator[TraceFile]:
    """The traces of a run's folder, claimed by this process; raises ConfigError if `claim_folder` does."""
    with TraceFile(folder / "traces.jsonl.zst") as traces:
        claim_folder(folder, config.conditions(), config.selection(sweep, problems), begun=len(traces) > 0)
        yield traces


def show(summary: Summary, folder: Path, *, wide: bool = False) -> None:
    """Print the result, the tables, and the paths of the files."""
    console = Terminal()
    print_summary(console, summary, wide=wide)
    for file in ("report.html", "pareto.png", "summary.json", "traces.jsonl.zst"):
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _with_progress(
    settings: RunSettings, sweep: Sweep, problems: Sequence[Problem], roles: Roles, traces: TraceFile, book: GradeBook
) -> Solved:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), Waits(roles)
    spent = Decimal(0)
    with Progress(*columns, console=Terminal(stderr=True)) as progress:
        task = progress.add_task("solving", total=len(problems) * len(sweep.routes) * len(sweep.seeds))

        def advance(trace: Trace) -> None:
            nonlocal spent
            spent += trace.cost_usd
            progress.update(task, advance=1, description=f"solving  ${spent:.4f}")

        try:
            return run_until_stopped(run_sweep(sweep, problems, roles, settings, traces, advance, book))
        except Stopped as stopped:
            progress.console.print(INTERRUPTED)
            raise typer.Exit(stopped.exit_code) from None


def examples(sweep: Sweep, problems: Sequence[Problem], traces: Sequence[Trace]) -> list[tuple[Problem, Trace]]:
    """Problems at the middle knob: first those that the strong model saved, then others that it worked on."""
    route = sweep.policy.routes[len(sweep.policy.routes) // 2].name
    first = [trace for trace in traces if trace.seed == sweep.seeds[0]]
    by_id = {problem.id: problem for problem in problems}
    order = {problem.id: index for index, problem in enumerate(problems)}
    lost = {trace.problem_id for trace in first if _is(trace, sweep.weak.name, Verdict.INCORRECT)}
    saved = {trace.problem_id for trace in first if _is(trace, route, Verdict.CORRECT)} & lost
    chosen = [trace for trace in first if trace.route == route and not trace.failed]

    def rank(trace: Trace) -> tuple[bool, bool, int]:
        rejected = any(step.rejected for step in trace.steps)
        return trace.problem_id not in saved, not rejected, order[trace.problem_id]

    return [(by_id[trace.problem_id], trace) for trace in sorted(chosen, key=rank)[:_EXAMPLES]]


def _is(trace: Trace, route: str, verdict: Verdict) -> bool:
    return trace.route == route and trace.verdict is verdict
