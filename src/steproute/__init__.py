"""Step-level hybrid inference.

A cheap model writes each step, a process reward model scores it, a policy decides whether an expensive model writes it
again.
"""

from typing import TYPE_CHECKING, Any

from steproute.core.answer_rule import AnswerRule
from steproute.core.decision import Decision
from steproute.core.errors import SteprouteError
from steproute.core.grade import Grade, Verdict
from steproute.core.observation import Observation
from steproute.core.ports import Grader, Policy, StepModel, StepScorer, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Scores, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.engine.cast import Cast, Judge, Writer
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits

if TYPE_CHECKING:
    from steproute.bench.run import Run

__all__ = [
    "AccountLine",
    "AnswerRule",
    "Cast",
    "Decision",
    "Draft",
    "Episode",
    "Grade",
    "Grader",
    "Judge",
    "Limits",
    "Meter",
    "Observation",
    "Outcome",
    "Policy",
    "Prefix",
    "Price",
    "Problem",
    "Purpose",
    "Run",
    "Sampling",
    "Scores",
    "Step",
    "StepModel",
    "StepScorer",
    "SteprouteError",
    "Stop",
    "Strategy",
    "Trace",
    "Usage",
    "Verdict",
    "Writer",
]


def __getattr__(name: str) -> Any:
    """`Run`, whose modules are loaded when it is first used."""
    if name != "Run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from steproute.bench.run import Run

    return Run
