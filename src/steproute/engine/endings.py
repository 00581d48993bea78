"""How a solution ends: pure functions."""

from dataclasses import dataclass

from steproute.core.errors import BackendError, ContextOverflow, ScorerError
from steproute.core.ports import Response
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Outcome, Prefix, Stop
from steproute.core.writable import is_writable, writable


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
    is_full = len(prefix.steps) >= max_steps and len(prefix.written) >= max_steps
    return Outcome.MAX_STEPS if is_full else None


def outcome_after(response: Response, prefix: Prefix) -> Outcome | None:
    """How the solution ends with an environment's response, which the prefix holds; None if it continues."""
    if not response.ends:
        return None
    return Outcome.COMPLETED if prefix.answer is None else Outcome.ANSWERED


def unwritable(problem: Problem) -> str | None:
    """Why a problem cannot be solved, because no file can hold it; None if one can."""
    for name, text in (("id", problem.id), ("text", problem.canonical)):
        if not is_writable(text):
            return (
                f"problem.{name}: holds half a character, {writable(text)[:80]!r}, which no file can hold. "
                "Correct the data."
            )
    return None
