"""`steproute compare`: many policies on the same problems, under one account."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table

from steproute.bench.compare import COMPARED, Comparison, Row, compare, write_comparison
from steproute.bench.datasets import load_problems
from steproute.bench.formatting import LABELS, metric
from steproute.bench.plot import plot_pareto
from steproute.bench.summary import Axis, JudgedRuns, summarise, write_summary
from steproute.cli.evaluate import solve_and_grade
from steproute.cli.terminal import Terminal, print_json
from steproute.config import RunConfig, lab_cast
from steproute.core.errors import ConfigError
from steproute.engine.step_tree import StepTree

_SHOWN = ("cpt50", "cpt80", "cpt95", "apgr", "delta_ibc", "accuracy_at_10", "accuracy_at_20", "accuracy_at_30")
_WIDTH = 2**32
_CONSOLE_WIDTH = 150


def compare_policies(
    policies: Annotated[
        str,
        typer.Option(
            help="With commas: a policy, the folder of a trained one, STRATEGY:POLICY such as query:runs/query-sw or "
            "automix:threshold, or single:ROLE. All others are measured against the first."
        ),
    ] = "threshold,random,confidence,automix-prm:threshold,single:mid,oracle",
    data: Annotated[str, typer.Option(help="The problems.")] = "lab:test",
    problems: Annotated[int | None, typer.Option(help="How many of them; the lab's default is 300.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the problems and every random draw.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the run; the same name resumes it.")] = "compare",
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
) -> None:
    """Sweep every policy over the same problems and print who is ahead, by strong tokens and by dollars, with p-values.

    Each policy pays for all it uses; what two policies ask for at the same place is computed once. A rerun resumes.

    Example: steproute compare --policies threshold,random,oracle --problems 50 --name first
    """
    names = [part.strip() for part in policies.split(",") if part.strip()]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"policies: {policies!r} names none, or one of them twice. Give each once, with commas.")
    config = RunConfig(name=name, data=data, problems=problems, policy=names[0], baselines=tuple(names[1:]), seed=seed)
    folder = runs / re.sub(r"[^\w.+-]+", "-", name)
    folder.mkdir(parents=True, exist_ok=True)
    sweep, chosen = config.sweep(), load_problems(data, problems, seed)
    with StepTree(folder / "tree.jsonl.zst", _WIDTH) as tree:
        graded, interrupted = solve_and_grade(config, sweep, chosen, tree.cast(lab_cast()), folder)
    summary = summarise(
        name, data, sweep, chosen, graded, seed=seed, interrupted_usd=interrupted, settings=config.document()
    )
    comparison = compare(name, data, sweep, JudgedRuns(sweep, chosen, graded), seed)
    write_summary(summary, folder / "summary.json")
    write_comparison(comparison, folder / "comparison.json")
    plot_pareto(summary, folder / "pareto.png")
    plot_pareto(summary, folder / "pareto-usd.png", axis="usd")
    if json:
        print_json((folder / "comparison.json").read_text())
        return
    console = Terminal()
    if not console.is_terminal:
        console.width = _CONSOLE_WIDTH
    console.print(Group(_table(comparison, "tokens"), _table(comparison, "usd"), _pairs(comparison)))
    for file in ("comparison.json", "summary.json", "pareto.png", "pareto-usd.png"):
        console.print(f"  {folder / file}", highlight=False, soft_wrap=True)


def _table(comparison: Comparison, axis: Axis) -> Table:
    what = {"tokens": "strong tokens", "usd": "dollars"}[axis]
    table = Table(title=f"{comparison.name}: {comparison.problems} problems of {comparison.data}, by {what}")
    table.add_column("policy", no_wrap=True)
    for column in _SHOWN:
        table.add_column(LABELS[column].replace("accuracy at c =", "acc. at"), justify="right")
    table.add_column("calls", justify="right")
    for row in comparison.rows:
        table.add_row(row.name, *(_cell(row, axis, column) for column in _SHOWN), f"{row.calls:.1f}")
    return table


def _cell(row: Row, axis: Axis, column: str) -> str:
    return metric(row.metrics[axis], column).replace(" [", "\n[")


def _pairs(comparison: Comparison) -> Table:
    first = comparison.rows[0].name
    table = Table(title=f"ahead of {first}, by strong tokens: difference [95 %], p")
    table.add_column("policy", no_wrap=True)
    for column in COMPARED:
        table.add_column(LABELS[column], justify="right")
    for row in comparison.rows[1:]:
        cells = []
        for column in COMPARED:
            found = comparison.pair(row.name, first, column)
            low, high = ("∞" if end is None else f"{end:+.3f}" for end in found.difference_ci95)
            value = "–" if found.difference is None else f"{found.difference:+.3f}"
            cells.append(f"{value} [{low}, {high}]\np {found.p:.3f}")
        table.add_row(row.name, *cells)
    return table
