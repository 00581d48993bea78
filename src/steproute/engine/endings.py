"""How a solution ends: pure functions."""

from dataclasses import dataclass
from typing import Final

from steproute.core.errors import BackendError, ContextOverflow, ScorerError
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Outcome, Prefix, Stop
from steproute.core.writable import is_writable, writable

_TURNS: Final = (Outcome.COMPLETED, Outcome.ENDED_WITHOUT_ANSWER)
"""How a solution ends where its model ends."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A solution's outcome, and the error and the role at fault if it failed."""

    outcome: Outcome
    error: str | None = None
    at_fault: str | None = None


def ending_with(outcome: Outcome | None, strategy: object) -> Ending:
    """The ending of a solution with this outcome, when the strategy has returned."""
    if outcome is None:
        error = f"the strategy {type(strategy).__name__} returned before the solution had ended"
        return Ending(Outcome.FAILED, error)
    return Ending(outcome)


def ending_by(failure: BackendError | ScorerError) -> Ending:
    """The ending by a failure that no declared fallback covers."""
    if isinstance(failure, ContextOverflow):
        return Ending(Outcome.CONTEXT_OVERFLOW)
    return Ending(Outcome.FAILED, named(failure), failure.role)


def named(failure: BackendError | ScorerError) -> str:
    """The failure with its type."""
    return f"{type(failure).__name__}: {failure}"


def outcome_of(draft: Draft, prefix: Prefix, max_steps: int, budget: Outcome | None) -> Outcome | None:
    """How the solution ends with `draft`, whose steps are the prefix's last; None if it continues.

    budget: the budget that shortened the draft, if one did.
    """
    if prefix.answer is not None:
        return Outcome.ANSWERED
    if draft.stop is Stop.END:
        return Outcome.ENDED_WITHOUT_ANSWER if prefix.problem.rule.extracts else Outcome.COMPLETED
    if draft.stop is Stop.CONTEXT:
        return Outcome.CONTEXT_OVERFLOW
    if draft.stop is Stop.LENGTH:
        return budget or Outcome.STEP_TOO_LONG
    if draft.degenerate:
        return Outcome.DEGENERATE
    return _outcome_if_full(prefix, max_steps)


def is_answered(outcome: Outcome | None) -> bool:
    """Whether an environment answers a step with which the solution would end so: the step is a whole action."""
    return outcome is None or outcome is Outcome.MAX_STEPS or outcome in _TURNS


def outcome_after(response: Response, prefix: Prefix, before: Outcome | None, max_steps: int) -> Outcome | None:
    """How the solution ends with an environment's response, which the prefix holds; None if it continues.

    before: how it would end without the response. A turn that a model has ended continues if it was answered.
    """
    if response.ends:
        return Outcome.COMPLETED if prefix.answer is None else Outcome.ANSWERED
    return _outcome_if_full(prefix, max_steps) if response.text and before in _TURNS else before


def _outcome_if_full(prefix: Prefix, max_steps: int) -> Outcome | None:
    is_full = len(prefix.steps) >= max_steps and len(prefix.written) >= max_steps
    return Outcome.MAX_STEPS if is_full else None


def unwritable(problem: Problem) -> str | None:
    """Why a problem cannot be solved, because no file can hold it; None if one can."""
    for name, text in (("id", problem.id), ("text", problem.canonical)):
        if not is_writable(text):
            return (
                f"problem.{name}: holds half a character, {writable(text)[:80]!r}, which no file can hold. "
                "Correct the data."
            )
    return None
