"""Search on the lab: wide steps, beams and votes against one draft and TRIM-Thr, in weak tokens and in dollars.

    python benchmarks/search_acceptance.py solve pats runs/search --problems 200
    python benchmarks/search_acceptance.py table pats runs/search

`solve` resumes; it takes all routes of one problem before the next, so a table can be made at any time, of the problems
that every route has finished. Suites: `pats` (weak model at temperature 1.0), `beam` (its own 0.7), both with
lab-prm-place, which cannot choose among candidates: `pats-null`, `beam-null`; and `beam-length`, for easy and hard
problems, each in a folder of its own.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from steproute.config import lab_roles
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile, read_traces
from steproute.evaluation.datasets import load_problems
from steproute.policies.modes import Modes, RandomModes
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.beam import Beam
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.vote import Vote
from steproute.strategies.widened import BestOfN, Widened

NONE: Final = Threshold(0.0)
RESAMPLES: Final = 10_000


def pats(penalties: int | None = None) -> Widened:
    """PATS with quantiles 0.5, 0.35 and 0.15 of the chosen steps' scores on validation, best of 4, as thresholds."""
    return Widened(policy=Modes(), good=0.9996, low=0.9984, bad=0.68, penalties=penalties)


def trim() -> dict[str, Strategy[Episode]]:
    """TRIM-Thr's curve."""
    return {f"threshold {k}": Stepwise(policy=Threshold(k)) for k in (0.1, 0.3, 0.7, 0.95, 0.99)}


def pats_suite() -> dict[str, Strategy[Episode]]:
    """What is compared with PATS."""
    return {
        "weak": Single("weak"),
        "strong": Single("strong"),
        **{f"all-{n}": BestOfN(policy=NONE, width=n) for n in (2, 4, 8)},
        "pats": pats(),
        "pats, the paper's thresholds": Widened(policy=Modes()),
        "pats, no redraw": pats(penalties=0),
        "pats, redraws without end": pats(penalties=20),
        "random-modes 0.4": Widened(policy=RandomModes(0.4)),
        "random-modes 0.6": Widened(policy=RandomModes(0.6)),
        **trim(),
        **{
            f"hybrid {k:+g}": Widened(policy=Modes(k), ladder="weak-1/weak-3/strong-1", first=0)
            for k in (-3.0, 0.0, 3.0)
        },
        "best of 3, threshold 0.5": BestOfN(policy=Threshold(0.5), width=3),
        "votes of 8": BestOfN(policy=NONE, width=8, by="votes"),
    }


def pats_null() -> dict[str, Strategy[Episode]]:
    """Widths alone."""
    return {name: s for name, s in pats_suite().items() if name in ("weak", "all-2", "all-4", "all-8", "pats")}


def beam_suite() -> dict[str, Strategy[Episode]]:
    """What is compared with the beam."""
    return {
        "weak": Single("weak"),
        "strong": Single("strong"),
        "beam": Beam(policy=NONE),
        "beam, C alone": Beam(policy=NONE, weight=0.0),
        "beam, P alone": Beam(policy=NONE, weight=1.0),
        "beam, drawn, best": Beam(policy=NONE, temperature=0.5),
        "beam, drawn, vote": Beam(policy=NONE, temperature=0.5, vote=True),
        "vote of 6": Vote(policy=NONE, samples=6),
        "vote of 6, weighted": Vote(policy=NONE, samples=6, weights="product"),
        "beam, strong below 0.5": Beam(policy=Threshold(0.5)),
        **trim(),
    }


def beam_length() -> dict[str, Strategy[Episode]]:
    """One draft and the beam, for problems of other lengths: --data lab:test/easy and lab:test/hard."""
    return {name: s for name, s in beam_suite().items() if name in ("weak", "beam")}


def beam_null() -> dict[str, Strategy[Episode]]:
    """The beam with a judge that cannot choose."""
    return {name: s for name, s in beam_suite().items() if name in ("weak", "beam", "beam, C alone", "vote of 6")}


SUITES: Final = {
    "pats": (pats_suite, 1.0, ""),
    "pats-null": (pats_null, 1.0, "prm-place"),
    "beam": (beam_suite, 0.7, ""),
    "beam-null": (beam_null, 0.7, "prm-place"),
    "beam-length": (beam_length, 0.7, ""),
}


def roles_at(temperature: float, scorer: str) -> Roles:
    """The lab, with the weak model at a temperature."""
    lab = lab_roles(scorer)
    weak = lab.model("weak")
    sampling = replace(weak.sampling, temperature=temperature)
    return replace(lab, models={**lab.models, "weak": replace(weak, sampling=sampling)})


def solve(suite: str, folder: Path, data: str, count: int, seed: int, in_flight: int) -> None:
    """Solve what the folder does not hold yet."""
    strategies, temperature, scorer = SUITES[suite]
    routes = [Route(name=name, strategy=each, seed=seed) for name, each in strategies().items()]
    work = [(route, problem) for problem in load_problems(data, count, 0) for route in routes]
    with TraceFile(folder / f"{suite}.jsonl.zst") as traces:
        asyncio.run(run(work, roles_at(temperature, scorer), RunSettings(in_flight=in_flight), traces))


@dataclass(frozen=True)
class Table:
    """Per route and problem: correct answers, weak tokens, micro-dollars, and how often the strong model wrote."""

    problems: list[Problem]
    correct: Mapping[str, np.ndarray]
    tokens: Mapping[str, np.ndarray]
    usd: Mapping[str, np.ndarray]
    strong: Mapping[str, np.ndarray]


def read(suite: str, folder: Path, data: str, count: int, seed: int) -> Table:
    """The problems that every route has solved."""
    names = list(SUITES[suite][0]())
    cells: dict[str, dict[str, Trace]] = {name: {} for name in names}
    problems = load_problems(data, count, 0)
    for trace in read_traces(folder / f"{suite}.jsonl.zst"):
        if trace.seed == seed and trace.route in cells:
            cells[trace.route][trace.problem_id] = trace
    done = [problem for problem in problems if all(problem.id in cells[name] for name in names)]

    def column(name: str, value: Callable[[Trace, Problem], float]) -> np.ndarray:
        return np.array([value(cells[name][p.id], p) for p in done], np.float64)

    return Table(
        done,
        {name: column(name, lambda trace, problem: trace.answer == problem.answer) for name in names},
        {name: column(name, lambda trace, _: trace.generated_tokens("weak")) for name in names},
        {name: column(name, lambda trace, _: float(trace.cost_usd) * 1e6) for name in names},
        {name: column(name, lambda trace, _: trace.generated_tokens("strong")) for name in names},
    )


def paired(values: np.ndarray, seed: int = 0) -> tuple[float, float, float, float]:
    """Mean of a difference over problems, its 95 % interval and two-sided p, by a bootstrap over problems."""
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)])
    side = min((means <= 0).mean(), (means >= 0).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high), min(1.0, 2 * float(side) + 1 / RESAMPLES)


def show(table: Table, pairs: Sequence[tuple[str, str]]) -> None:
    """The means of every route, then the differences of pairs in accuracy, tokens and dollars."""
    print(f"{len(table.problems)} problems")
    print("| route | correct | weak tokens | strong tokens | $ per million problems |\n|---|---|---|---|---|")
    for name in table.correct:
        means = (each[name].mean() for each in (table.correct, table.tokens, table.strong, table.usd))
        correct, tokens, strong, usd = means
        print(f"| {name} | {100 * correct:.1f} % | {tokens:.0f} | {strong:.0f} | {usd:.0f} |")
    for first, second in pairs:
        if first in table.correct and second in table.correct:
            mean, low, high, p = paired(table.correct[first] - table.correct[second])
            tokens = table.tokens[first].mean() / table.tokens[second].mean()
            usd = table.usd[first].mean() / table.usd[second].mean()
            print(
                f"{first} − {second}: {100 * mean:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], p = {p:.4f}, "
                f"{tokens:.2f} × the weak tokens, {usd:.2f} × the dollars"
            )


def against_trim(table: Table, name: str) -> None:
    """A route against the best mixture of two points of TRIM-Thr, always-weak and always-strong at its dollars."""
    points = ["weak", *trim(), "strong"]
    usd = {point: table.usd[point].mean() for point in points}
    cost = table.usd[name].mean()

    def blend(low: str, high: str) -> np.ndarray:
        share = (cost - usd[low]) / (usd[high] - usd[low]) if usd[high] > usd[low] else 0.0
        return share * table.correct[high] + (1 - share) * table.correct[low]

    mixtures = [(low, high) for low in points for high in points if usd[low] <= cost <= usd[high]]
    low, high = max(mixtures, key=lambda pair: blend(*pair).mean(), default=("strong", "strong"))
    mean, least, most, p = paired(table.correct[name] - blend(low, high))
    print(
        f"{name} − the mixture of {low} and {high} at its dollars: {100 * mean:+.1f} points "
        f"[{100 * least:+.1f}, {100 * most:+.1f}], p = {p:.4f}"
    )


def mixture(table: Table, name: str, low: str, high: str, cost: str) -> None:
    """A route against the mixture of two others at its cost: a share of problems at `high`, the rest at `low`."""
    costs = {"weak tokens": table.tokens, "dollars": table.usd}[cost]
    share = (costs[name].mean() - costs[low].mean()) / (costs[high].mean() - costs[low].mean())
    blend = share * table.correct[high] + (1 - share) * table.correct[low]
    mean, least, most, p = paired(table.correct[name] - blend)
    print(
        f"{name} − the mixture of {low} and {high} at its {cost} (share {share:.2f}): {100 * mean:+.1f} points "
        f"[{100 * least:+.1f}, {100 * most:+.1f}], p = {p:.4f}"
    )


PAIRS: Final = (
    ("all-2", "weak"),
    ("all-4", "all-2"),
    ("all-8", "all-4"),
    ("all-8", "weak"),
    ("pats", "all-8"),
    ("pats, the paper's thresholds", "all-8"),
    ("pats", "pats, no redraw"),
    ("pats, redraws without end", "pats"),
    ("pats", "random-modes 0.4"),
    ("pats", "random-modes 0.6"),
    ("votes of 8", "weak"),
    ("beam", "weak"),
    ("beam", "vote of 6"),
    ("beam, C alone", "vote of 6"),
    ("beam", "beam, C alone"),
    ("beam", "beam, P alone"),
    ("beam, drawn, vote", "beam, drawn, best"),
    ("vote of 6, weighted", "vote of 6"),
)


def main() -> None:
    """Solve, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("solve", "table"))
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="lab:test")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-flight", type=int, default=32)
    asked = parser.parse_args()
    if asked.verb == "solve":
        solve(asked.suite, asked.folder, asked.data, asked.problems, asked.seed, asked.in_flight)
        return
    table = read(asked.suite, asked.folder, asked.data, asked.problems, asked.seed)
    show(table, PAIRS)
    for cost in ("weak tokens", "dollars"):
        for low, high in (("all-2", "all-8"), ("random-modes 0.4", "random-modes 0.6")):
            if "pats" in table.correct and low in table.correct:
                mixture(table, "pats", low, high, cost)
    for name in table.correct:
        if "threshold 0.3" in table.correct and name not in ("weak", "strong", *trim()):
            against_trim(table, name)


if __name__ == "__main__":
    main()
