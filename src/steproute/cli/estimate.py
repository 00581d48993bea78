"""`--estimate`: what a command is going to spend, printed before it spends anything."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich import box
from rich.table import Table

from steproute.cli.terminal import Terminal
from steproute.cli.training import Training
from steproute.config import RunConfig
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.core.writable import writable
from steproute.engine.episode import Episode
from steproute.engine.paid_journal import paid_so_far
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.engine.trace_file import newest_traces
from steproute.evaluation.estimate import Amount, Estimate, estimate, scaled
from steproute.evaluation.formatting import dollars
from steproute.evaluation.route_bounds import prior_shape
from steproute.evaluation.sweep import Cell, Sweep
from steproute.learn.advantage_rows import ROLLOUTS, STRONG_SAMPLES
from steproute.learn.boundary import Settings
from steproute.learn.outcome_traces import WeakScored
from steproute.policies.stored import ADVANTAGE, BOUNDARY, POMDP, QUERY_CLASSIFIER, QUERY_SW, RUNGS
from steproute.strategies.second_chances import RESAMPLE
from steproute.strategies.single import Single

_TRACES: Final = "traces.jsonl.zst"
_SOLUTION_STEPS: Final = 8  # usual; rollouts write half of a solution on average
_UNGRADED: Final = "What the judge of the answers is paid comes on top."
_SAME: Final = ("config_digest", "lab_digest")


def print_estimate(
    config: RunConfig, sweep: Sweep, problems: Sequence[Problem], roles: Roles, runs: Path, *, keep_failed: bool
) -> None:
    """Estimate what a run still needs, from its own traces, from other runs of its models, or from a prior.

    Writes nothing. Raises DatasetError for a damaged trace file.
    """
    folder = runs / config.name
    own = _traces(folder)
    source, traces = _best_source(config, own, runs)
    missing = _missing(sweep, problems, own, keep_failed)
    prior = prior_shape(config.data, problems, embedded=not config.config_digest)
    rng = np.random.default_rng(config.seed)
    found = estimate(missing, traces, roles, prior, config.in_flight, rng)
    solutions = len(problems) * len(sweep.routes) * len(sweep.seeds)
    said = _basis(found, source, prior.source)
    _print(found, solutions, config.in_flight, f"{said} {_UNGRADED}" if roles.grading.is_paid else said)
    _print_paid(folder, found, own)


def print_training_estimate(training: Training, passes: int) -> None:
    """Estimate what growing the step tree of a training takes, as if it were empty. Writes nothing."""
    repeats, strategies = _trainings(training, passes)
    count, setup = len(training.problems), training.setup
    config = setup.run(training.policy, training.data, seed=training.seed, in_flight=training.in_flight)
    source, traces = _best_source(config, (), Path("runs"))
    prior = prior_shape(training.data, training.problems, embedded=not setup.digest)
    routes = [(Route(name=name, strategy=strategy), count) for name, strategy in strategies]
    rng = np.random.default_rng(training.seed)
    found = estimate(routes, traces, setup.roles, prior, training.in_flight, rng)
    wide = replace(
        found,
        calls=scaled(found.calls, 1, repeats),
        tokens={name: scaled(amount, 1, repeats) for name, amount in found.tokens.items()},
        usd=scaled(found.usd, 1, repeats),
        minutes=scaled(found.minutes, 1, repeats),
    )
    said = [_basis(found, source, prior.source), "What the step tree holds already is paid for."]
    judged = [_UNGRADED] if setup.roles.grading.is_paid else []
    _print(wide, count * len(routes), training.in_flight, " ".join([*said, *judged]))


def print_most(calls: Sequence[tuple[Price, Usage]], *basis: str) -> None:
    """Print the maximum that these calls can use, each at its price, without retries after failures."""
    if not calls:
        Terminal().print("Nothing is called.", highlight=False)
        return
    used = sum((usage for _, usage in calls), Usage())
    usd = sum(price.most(usage) for price, usage in calls)
    Terminal().print(
        f"At most {len(calls):,} calls, {used.read_tokens:,} tokens read, {used.output_tokens:,} written and "
        f"{dollars(float(usd))}. {' '.join(basis)}",
        highlight=False,
    )


def _trainings(training: Training, passes: int) -> tuple[int, list[tuple[str, Strategy[Episode]]]]:
    """How often training can solve its problems at new cost, and the routes by which it solves them."""
    policy = training.policy
    if policy in (QUERY_SW, QUERY_CLASSIFIER):
        return 1, [("single/weak", Single("weak"))]
    if policy == POMDP:
        return 1, [("train/weak", WeakScored()), *((f"single/{role}", Single(role)) for role in training.rewriters)]
    if policy == BOUNDARY:
        own = Settings(passes=passes)
        rollouts = own.runs + own.strata + 1 + own.group * own.passes
        return rollouts, [(f"single/{role}", Single(role)) for role in ("weak", "strong")]
    if policy == ADVANTAGE:
        branches = (1 + STRONG_SAMPLES) * _SOLUTION_STEPS
        return ROLLOUTS * branches // 2, [("train/weak", WeakScored()), ("single/strong", Single("strong"))]
    if policy == RUNGS:
        drafts = [(f"train/weak-{number}", WeakScored()) for number in range(training.width + 1)]
        roles = [role for role in training.rewriters if role != RESAMPLE]
        return 1, [*drafts, *((f"single/{role}", Single(role)) for role in roles)]
    return passes, [(f"train/{policy}", training.exploration)]


def _missing(
    sweep: Sweep, problems: Sequence[Problem], own: Sequence[Trace], keep_failed: bool
) -> list[tuple[Route, int]]:
    done = {Cell.of(trace) for trace in own if keep_failed or not trace.unsettled}
    counts = Counter(
        route.name
        for route, problem in sweep.work(problems)
        if Cell(route.name, writable(problem.id), route.seed) not in done
    )
    return [(route, counts[route.name]) for route in sweep.routes if counts[route.name]]


def _best_source(config: RunConfig, own: Sequence[Trace], runs: Path) -> tuple[str, Sequence[Trace]]:
    """Traces of this run, else those of runs of the same models: on the same data, else on any."""
    if own:
        return f"this run's own {len(own)} solutions", own
    here = config.document()
    others = [(path.parent, _document(path)) for path in sorted(runs.glob("*/run.toml"))]
    same = [(folder, there) for folder, there in others if all(there.get(key) == here.get(key) for key in _SAME)]
    for where, chosen in (
        ("the same data", [folder for folder, there in same if there.get("data") == config.data]),
        ("other data", [folder for folder, _ in same]),
    ):
        traces = [trace for folder in chosen for trace in _traces(folder)]
        if traces:
            names = ", ".join(folder.name for folder in chosen)
            return f"{len(traces)} solutions by these models on {where} ({names})", traces
    return "", ()


def _document(path: Path) -> Mapping[str, Any]:
    """The document of a run.toml; an unreadable file belongs to no run."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {"config_digest": None}


def _traces(folder: Path) -> list[Trace]:
    """The newest ended trace of each solution; a solution that was graded again has two."""
    path = folder / _TRACES
    found = newest_traces(path) if path.exists() and path.stat().st_size else []
    return [trace for trace in found if trace.outcome is not Outcome.CANCELLED]


def _basis(found: Estimate, source: str, prior: str) -> str:
    if not found.missing:
        return "Nothing is missing: the command would only summarise."
    parts = []
    if source:
        parts.append(f"Estimated from {source}.")
    if found.sampled and found.bounded:
        parts.append(
            f"{found.bounded} of the routes have no traces yet. They are bounded by one model writing every step, and "
            "by every model writing it."
        )
    elif found.bounded:
        parts.append(
            f"No route has traces yet: steps and tokens are from {'these traces' if source else prior}, and the "
            "interval is wide. Run the command with --problems 5 first: a run grows without paying twice, and is then "
            "estimated from itself."
        )
    return " ".join(parts)


def _print(found: Estimate, solutions: int, in_flight: int, basis: str) -> None:
    console = Terminal()
    title = f"{found.missing} of {solutions} solutions are missing"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("", "low", "expected", "high"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    table.add_row("calls", *_whole(found.calls))
    for role, amount in found.tokens.items():
        if amount.high:
            table.add_row(f"{role} (tokens)", *_whole(amount))
    table.add_row("dollars", *(dollars(value) for value in (found.usd.low, found.usd.expected, found.usd.high)))
    times = (found.minutes.low, found.minutes.expected, found.minutes.high)
    table.add_row(f"minutes, {in_flight} in flight", *(f"{value:.1f}" for value in times))
    console.print(table)
    console.print(basis, highlight=False)


def _print_paid(folder: Path, found: Estimate, own: Sequence[Trace]) -> None:
    """For routes that share a tree: how much of the bill is really paid, at the share that was paid so far."""
    paid = paid_so_far(folder / "tree.jsonl.zst.paid")
    billed = sum(trace.cost_usd for trace in own)
    if paid and billed:
        amount = scaled(found.usd, paid / billed, paid / billed)
        Terminal().print(
            f"Of the dollars about {float(paid / billed):.0%} are paid, {dollars(amount.low)} to "
            f"{dollars(amount.high)}: steps that routes share are computed once.",
            highlight=False,
        )


def _whole(amount: Amount) -> tuple[str, str, str]:
    return f"{amount.low:,.0f}", f"{amount.expected:,.0f}", f"{amount.high:,.0f}"
