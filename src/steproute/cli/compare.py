"""`steproute compare`: many policies on the same problems, under one account."""

from dataclasses import replace
from typing import Annotated

import typer

from steproute.bench.compare import RESAMPLES, compare, write_comparison
from steproute.bench.datasets import Fields, load_problems
from steproute.bench.plot import plot_pareto
from steproute.bench.summary import JudgedRuns, summarise, write_summary
from steproute.cli.comparison_tables import print_comparison
from steproute.cli.evaluate import solve_and_grade
from steproute.cli.options import (
    RUNS,
    AnswerField,
    Config,
    Data,
    IdField,
    InFlight,
    KeepFailed,
    Problems,
    QuestionField,
    Runs,
    Seed,
    names,
)
from steproute.cli.terminal import Terminal, print_json
from steproute.config import check_needs, read_setup
from steproute.engine.step_tree import StepTree

_WIDTH = 2**32


def compare_policies(
    policies: Annotated[
        str,
        typer.Option(
            help="Separated by commas: a policy, the folder of a trained policy, STRATEGY:POLICY such as "
            "query:runs/query-sw or automix:threshold, or single:ROLE. Each is compared with the first one."
        ),
    ] = "threshold,random,confidence,automix-prm:threshold,single:mid,oracle",
    data: Data = "lab:test",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    config: Config = None,
    problems: Problems = None,
    seed: Seed = 0,
    in_flight: InFlight = 32,
    name: Annotated[str, typer.Option(help="Name of the run. The same name resumes it.")] = "compare",
    runs: Runs = RUNS,
    keep_failed: KeepFailed = False,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples. No p-value can be below 2 / (resamples + 1).", min=100)
    ] = RESAMPLES,
    wide: Annotated[bool, typer.Option("--wide", help="Print every metric and every difference.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
) -> None:
    """Measure several policies on the same problems and show which is ahead, by strong tokens and by dollars.

    Each policy is billed for everything it uses. A step that two policies need is computed only once. A rerun resumes.

    Example: steproute compare --policies threshold,random,oracle --problems 50 --name first
    """
    setup = read_setup(config, data)
    first, *others = names("policies", policies)
    run = replace(setup, route=setup.route.changed(policy=first)).run(
        name, data, problems=problems, baselines=tuple(others), seed=seed, in_flight=in_flight
    )
    folder, fields = runs / run.name, Fields(question_field, answer_field, id_field)
    sweep, chosen = run.sweep(), load_problems(data, problems, seed, fields)
    check_needs(sweep.routes, setup.roles)
    with StepTree(folder / "tree.jsonl.zst", _WIDTH) as tree:
        cast = tree.cast(setup.roles)
        graded, interrupted = solve_and_grade(run, sweep, chosen, cast, folder, keep_failed=keep_failed)
    summary = summarise(
        name, data, sweep, chosen, graded, seed=seed, interrupted_usd=interrupted, settings=run.document()
    )
    comparison = compare(name, data, sweep, JudgedRuns(sweep, chosen, graded), seed, resamples=resamples)
    write_summary(summary, folder / "summary.json")
    write_comparison(comparison, folder / "comparison.json")
    plot_pareto(summary, folder / "pareto.png")
    if json:
        print_json((folder / "comparison.json").read_text())
        return
    console = Terminal()
    print_comparison(console, summary, comparison, wide=wide)
    for file in ("comparison.json", "summary.json", "pareto.png"):
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)
