"""Step-level hybrid inference.

A cheap model writes each step, a process reward model scores it, a policy decides whether an expensive model writes it
again.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from steproute.core.answer_rule import AnswerRule
    from steproute.core.decision import Accept, Decision, Rewrite
    from steproute.core.errors import SteprouteError
    from steproute.core.grade import Grade, Verdict
    from steproute.core.observation import Moment, Observation
    from steproute.core.ports import Chooser, Environment, Grader, Policy, Response, StepModel, StepScorer, Strategy
    from steproute.core.problem import Problem
    from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Scores, Step, Stop
    from steproute.core.trace import Trace
    from steproute.core.usage import AccountLine, Price, Purpose, Usage
    from steproute.engine.episode import Episode
    from steproute.engine.limits import Limits
    from steproute.engine.roles import ModelRole, Roles, ScorerRole
    from steproute.evaluation.run import Run
    from steproute.solving import ProblemFailed, Solution, asolve, load_config, solve

__all__ = [
    "Accept",
    "AccountLine",
    "AnswerRule",
    "Chooser",
    "Decision",
    "Draft",
    "Environment",
    "Episode",
    "Grade",
    "Grader",
    "Limits",
    "Meter",
    "ModelRole",
    "Moment",
    "Observation",
    "Outcome",
    "Policy",
    "Prefix",
    "Price",
    "Problem",
    "ProblemFailed",
    "Purpose",
    "Response",
    "Rewrite",
    "Roles",
    "Run",
    "Sampling",
    "ScorerRole",
    "Scores",
    "Solution",
    "Step",
    "StepModel",
    "StepScorer",
    "SteprouteError",
    "Stop",
    "Strategy",
    "Trace",
    "Usage",
    "Verdict",
    "asolve",
    "load_config",
    "solve",
]

_MODULES: Final = {
    "evaluation.run": ("Run",),
    "core.answer_rule": ("AnswerRule",),
    "core.decision": ("Accept", "Decision", "Rewrite"),
    "core.errors": ("SteprouteError",),
    "core.grade": ("Grade", "Verdict"),
    "core.observation": ("Moment", "Observation"),
    "core.ports": ("Chooser", "Environment", "Grader", "Policy", "Response", "StepModel", "StepScorer", "Strategy"),
    "core.problem": ("Problem",),
    "core.solution": ("Draft", "Meter", "Outcome", "Prefix", "Sampling", "Scores", "Step", "Stop"),
    "core.trace": ("Trace",),
    "core.usage": ("AccountLine", "Price", "Purpose", "Usage"),
    "engine.roles": ("Roles", "ScorerRole", "ModelRole"),
    "engine.episode": ("Episode",),
    "engine.limits": ("Limits",),
    "solving": ("ProblemFailed", "Solution", "asolve", "load_config", "solve"),
}
_PLACES: Final = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562), so that `import steproute` loads nothing else."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
