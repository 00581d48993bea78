"""Step-level hybrid inference.

A cheap model writes each step, a process reward model scores it, a policy decides whether an expensive model writes it
again.
"""

from steproute.core.decision import Decision
from steproute.core.errors import SteprouteError
from steproute.core.observation import Observation
from steproute.core.ports import Policy, StepModel, StepScorer, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Scores, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.engine.cast import Cast, Judge, Writer
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits

__all__ = [
    "AccountLine",
    "Cast",
    "Decision",
    "Draft",
    "Episode",
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
    "Writer",
]
