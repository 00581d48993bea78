"""Whether an example bank holds the solutions of the problems that it is evaluated on."""

from collections.abc import Iterable, Sequence

from steproute.cli.terminal import Terminal
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.evaluation.sweep import Sweep
from steproute.retrieval.example_bank import NEAR, ExampleBank, near_duplicates
from steproute.strategies.booststep import BoostStep


def print_near_duplicates(sweep: Sweep, problems: Sequence[Problem], traces: Iterable[Trace]) -> None:
    """Print, for each bank of the sweep's routes, how many steps of always-strong's correct solutions have a near
    duplicate in it."""
    by_id = {problem.id: problem for problem in problems}
    steps = {
        (trace.problem_id, step.text)
        for trace in traces
        if trace.route == sweep.strong.name and trace.verdict is Verdict.CORRECT and trace.problem_id in by_id
        for step in trace.steps
    }
    for folder, bank in _banks(sweep).items():
        found = near_duplicates(bank, [(by_id[problem], text) for problem, text in sorted(steps)])
        Terminal(stderr=True).print(
            f"{folder}: {found} of {len(steps)} steps of the strong model's correct solutions have a step in the bank "
            f"at a similarity of {NEAR} or more",
            highlight=False,
            soft_wrap=True,
        )


def _banks(sweep: Sweep) -> dict[str, ExampleBank]:
    strategies = [route.strategy for route in sweep.routes]
    return {each.bank: each.adviser.bank for each in strategies if isinstance(each, BoostStep)}
