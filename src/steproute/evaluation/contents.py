"""What a summary is made of: problems, seeds and routes, and which traces were paid for now and which before."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal

from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.evaluation.formatting import dollars
from steproute.evaluation.sweep import Cell, Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The problems, seeds and routes of one command, and the traces of them: one per problem, route and seed.

    new_traces were solved by this command and earlier_traces were there; new_usd and earlier_usd are their dollars.
    """

    problems: int = 0
    seeds: list[int] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    new_traces: int = 0
    earlier_traces: int = 0
    new_usd: float = 0.0
    earlier_usd: float = 0.0

    def __str__(self) -> str:
        """In one sentence."""
        counts = (self.problems, "problem"), (len(self.seeds), "seed"), (len(self.routes), "route")
        size = " × ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
        earlier = f", {self.earlier_traces} from before for {dollars(self.earlier_usd)}" if self.earlier_traces else ""
        return f"{size}: {self.new_traces} solved now for {dollars(self.new_usd)}{earlier}."


def contents(sweep: Sweep, problems: Sequence[Problem], traces: Sequence[Trace], earlier: Set[Cell]) -> Contents:
    """What a sweep's traces are made of; `earlier` are those that were there before."""
    old = [trace for trace in traces if Cell.of(trace) in earlier]
    new = [trace for trace in traces if Cell.of(trace) not in earlier]
    return Contents(
        problems=len(problems),
        seeds=list(sweep.seeds),
        routes=[route.name for route in sweep.routes],
        new_traces=len(new),
        earlier_traces=len(old),
        new_usd=_spent(new),
        earlier_usd=_spent(old),
    )


def _spent(traces: Sequence[Trace]) -> float:
    return float(sum((trace.cost_usd for trace in traces), Decimal(0)))
