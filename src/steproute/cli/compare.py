"""`steproute compare`: many policies on the same problems, under one account."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table

from steproute.bench.compare import COMPARED, RESAMPLES, Comparison, Pair, Row, compare, write_comparison
from steproute.bench.datasets import load_problems
from steproute.bench.differences import LOWER_IS_BETTER
from steproute.bench.formatting import LABELS, metric
from steproute.bench.plot import plot_pareto
from steproute.bench.summary import Axis, JudgedRuns, summarise, write_summary
from steproute.cli.evaluate import KeepFailed, solve_and_grade
from steproute.config import RunConfig, embedded_roles
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
    keep_failed: KeepFailed = False,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples; no p-value can be below 2 / (resamples + 1).", min=100)
    ] = RESAMPLES,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
) -> None:
    """Sweep every policy over the same problems and print who is ahead, by strong tokens and by dollars, with p-values
    that are corrected for the number of comparisons (Holm).

    Each policy pays for all it uses; what two policies ask for at the same place is computed once. A rerun resumes.

    Example: steproute compare --policies threshold,random,oracle --problems 50 --name first
    """
    names = [part.strip() for part in policies.split(",") if part.strip()]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"policies: {policies!r} names none, or one of them twice. Give each once, with commas.")
    config = RunConfig(name=name, data=data, problems=problems, policy=names[0], baselines=tuple(names[1:]), seed=seed)
    folder = runs / config.name
    sweep, chosen = config.sweep(), load_problems(data, problems, seed)
    with StepTree(folder / "tree.jsonl.zst", _WIDTH) as tree:
        cast = tree.cast(embedded_roles(data))
        graded, interrupted = solve_and_grade(config, sweep, chosen, cast, folder, keep_failed=keep_failed)
    summary = summarise(
        name, data, sweep, chosen, graded, seed=seed, interrupted_usd=interrupted, settings=config.document()
    )
    comparison = compare(name, data, sweep, JudgedRuns(sweep, chosen, graded), seed, resamples=resamples)
    write_summary(summary, folder / "summary.json")
    write_comparison(comparison, folder / "comparison.json")
    plot_pareto(summary, folder / "pareto.png")
    plot_pareto(summary, folder / "pareto-usd.png", axis="usd")
    if json:
        typer.echo((folder / "comparison.json").read_text(), nl=False)
        return
    console = Console()
    if not console.is_terminal:
        console.width = _CONSOLE_WIDTH
    console.print(Group(_table(comparison, "tokens"), _table(comparison, "usd"), difference_table(comparison)))
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


def difference_table(comparison: Comparison) -> Table:
    """How every policy differs from the first one, by strong tokens."""
    first = comparison.rows[0].name
    table = Table(
        title=f"compared with {first}, by strong tokens: difference [95 %], who is ahead, p",
        caption=f"↑ higher is better, ↓ lower is better · p: chance of such a difference between equal policies, over "
        f"the draw of {comparison.problems} problems alone, corrected for all {_compared(comparison)} of this table",
    )
    table.add_column("policy", no_wrap=True)
    for column in COMPARED:
        table.add_column(f"{LABELS[column]} {'↓' if column in LOWER_IS_BETTER else '↑'}", justify="right")
    for row in comparison.rows[1:]:
        pairs = [comparison.pair(row.name, first, column) for column in COMPARED]
        table.add_row(row.name, *(_difference(each, comparison.least_p) for each in pairs))
    return table


def _compared(comparison: Comparison) -> int:
    """How many differences from the first policy have a value on one axis."""
    return sum(each.p_holm is not None for each in comparison.pairs if each.axis == "tokens")


def _difference(found: Pair, least: float) -> str:
    if found.p is None or found.difference_ci95 is None:
        return "–"
    low, high = found.difference_ci95
    ends = f"[{'-∞' if low is None else f'{low:+.3f}'}, {'+∞' if high is None else f'{high:+.3f}'}]"
    standing = {found.first: "ahead", found.second: "behind", None: "level"}[found.better]
    if found.difference is None:
        value = "not reached" if standing == "behind" else "reached by it alone"
    else:
        value = f"{found.difference:+.3f} {ends}"
    return f"{value}\n{standing}, p {_p(found, least)}"


def _p(found: Pair, least: float) -> str:
    """The corrected p-value; below what the resamples can tell, a bound."""
    assert found.p is not None
    assert found.p_holm is not None
    at_floor = found.p <= least * 1.001
    return f"{'< ' if at_floor else ''}{found.p_holm:.{3 if found.p_holm >= 0.001 else 4}f}"
