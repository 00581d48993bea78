"""`steproute compare`: many policies on the same problems, with the same account."""

from dataclasses import replace
from typing import Annotated

import typer

from steproute.cli.comparison_tables import print_comparison
from steproute.cli.estimate import print_estimate
from steproute.cli.evaluate import examples, solve_and_grade, summary_of
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
    MaxUsd,
    Problems,
    QuestionField,
    Runs,
    Seed,
    Seeds,
    names,
    parsed_grader_settings,
    whole_numbers,
)
from steproute.cli.spending import checked_limit, tree_limit
from steproute.cli.terminal import Terminal, print_json
from steproute.cli.timing import seconds_alone
from steproute.config import check_needs, read_setup
from steproute.core.whole_file import write_json
from steproute.engine.spending import limited
from steproute.engine.step_tree import StepTree
from steproute.evaluation.compare import RESAMPLES, compare
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.forest import plot_comparison
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.plot import plot_pareto
from steproute.evaluation.report import write_report

_WIDTH = 2**32
_FILES = ("report.html", "pareto.png", "comparison.png", "comparison.json", "summary.json", "traces.jsonl.zst")


def compare_policies(
    policies: Annotated[
        str,
        typer.Option(
            help="Separated by commas: a policy, the folder of a trained policy, STRATEGY:POLICY such as "
            "query:runs/query-sw or vote(samples=4):threshold, or single:ROLE. Each is compared with the first one."
        ),
    ] = "threshold,random,confidence,automix-prm:threshold,single:mid,oracle",
    data: Data = "lab:test",
    question_field: QuestionField = "",
    answer_field: AnswerField = "",
    id_field: IdField = "",
    config: Config = None,
    problems: Problems = None,
    answer_rule: AnswerRule = None,
    grader: Grader = None,
    grader_settings: GraderSettings = None,
    seed: Seed = 0,
    seeds: Seeds = "",
    in_flight: InFlight = 32,
    name: Annotated[str, typer.Option(help="Name of the run. The same name resumes it.")] = "compare",
    runs: Runs = RUNS,
    keep_failed: KeepFailed = False,
    max_usd: MaxUsd = None,
    estimate: Estimate = False,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples. No p-value can be below 2 / (resamples + 1).", min=100)
    ] = RESAMPLES,
    wide: Annotated[bool, typer.Option("--wide", help="Print every metric and every difference.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
) -> None:
    """Measure several policies on the same problems and show which is ahead, by strong tokens, dollars and seconds.

    Each policy is billed for everything it uses. A step that two policies need is computed only once. A rerun
    under the same name resumes; with more problems, policies or seeds it solves only what is missing. Seconds are those
    of a simulated deployment, each problem alone: the solutions are replayed in virtual time. They are compared for the
    embedded models only.

    Example: steproute compare --policies threshold,random,oracle --problems 50 --name first
    """
    setup = read_setup(config, data).graded_by(
        rule=answer_rule, grader=grader, settings=parsed_grader_settings(grader_settings)
    )
    first, *others = names("policies", policies)
    run = replace(setup, route=setup.route.changed(policy=first, knob=setup.route.knob)).run(
        name,
        data,
        problems=problems,
        baselines=tuple(others),
        seed=seed,
        seeds=whole_numbers("seeds", seeds),
        in_flight=in_flight,
    )
    folder, fields = runs / run.name, Fields(question_field, answer_field, id_field)
    sweep, chosen = run.sweep(), setup.answer.on(load_problems(data, problems, seed, fields))
    check_needs(sweep.routes, setup.roles)
    exact = checked_limit(max_usd, setup.roles)
    if estimate:
        print_estimate(run, sweep, chosen, setup.roles, runs, keep_failed=keep_failed)
        return
    with StepTree(folder / "tree.jsonl.zst", _WIDTH) as tree, tree_limit(tree, exact, folder) as limit:
        roles = tree.roles(setup.answer.graded(limited(setup.roles, limit)))
        solved = solve_and_grade(run, sweep, chosen, roles, folder, keep_failed=keep_failed)
        alone = None
        if setup.deployment is not None:
            alone = seconds_alone(sweep, chosen, solved.traces, roles, setup.deployment, run.limits, folder)
    summary = summary_of(run, sweep, chosen, solved, paid_usd=limit.spent_usd, alone=alone)
    judged = JudgedRuns(sweep, chosen, solved.traces, from_tree=True, alone=alone)
    comparison = compare(name, data, sweep, judged, seed, resamples=resamples)
    write_json(folder / "summary.json", summary)
    write_json(folder / "comparison.json", comparison)
    plot_pareto(summary, folder / "pareto.png")
    plot_comparison(comparison, summary.strategy, folder / "comparison.png")
    write_report(summary, examples(sweep, chosen, solved.traces), folder / "report.html", comparison)
    if json:
        print_json((folder / "comparison.json").read_text())
        return
    console = Terminal()
    print_comparison(console, summary, comparison, wide=wide)
    for file in _FILES:
        if (folder / file).exists():
            console.print(f"  {folder / file}", highlight=False, soft_wrap=True)
